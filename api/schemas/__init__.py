"""What the API adds to the service's views: strict request bodies and problem documents."""
