"""Models, sessions and repositories; the only place that sees queries."""
