"""Foreign inputs of every kind, each with its expected outcome, and the judge that tests the service with them."""
