"""Webhooks: registered receivers of events, an outbox in the database, and signed deliveries to checked addresses."""
