"""A compute driver whose machines are processes."""
