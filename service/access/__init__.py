"""Access control: API keys, OIDC tokens, web sessions, projects, rate limits and the audit log."""
