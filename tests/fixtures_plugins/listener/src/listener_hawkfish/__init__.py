"""A plugin that listens."""
