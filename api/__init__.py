"""The REST API and the web page. They only translate between HTTP and the service."""
