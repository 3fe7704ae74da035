"""Other people's clients install real machines."""
