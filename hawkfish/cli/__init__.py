"""The hawkfish command, on cliff."""
