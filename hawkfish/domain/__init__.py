"""Plain frozen dataclasses, enums and allowed state changes."""
