"""Declares no API number."""
