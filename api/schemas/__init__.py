"""What the API adds to the service's views: request bodies with examples, problem documents, health, links."""
