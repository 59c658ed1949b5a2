"""The client: arguments, one request, text or JSON, an exit code."""
