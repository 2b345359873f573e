"""Events to webhooks: registered receivers, an outbox in the database, and signed, checked deliveries from it."""
