"""Who may do what: API keys, OIDC tokens, sessions of the web page, projects, rate limits, and the audit log."""
