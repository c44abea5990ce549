"""Command line, configuration, wiring, metrics and the embedded server."""
