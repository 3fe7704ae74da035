"""Repositories: rows to domain objects and back. Each hangs on the unit of work as a cached property."""
