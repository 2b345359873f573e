"""The values that users configure: runs, policies, gates, datasets, access, webhooks and settings."""
