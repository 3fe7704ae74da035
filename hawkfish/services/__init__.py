"""The verbs of HawkFish; each begins with one authorize()."""
