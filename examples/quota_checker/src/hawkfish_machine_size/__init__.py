"""A quota checker: the size of one machine."""
