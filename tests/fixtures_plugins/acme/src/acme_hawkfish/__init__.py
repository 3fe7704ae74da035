"""A third-party plugin that implements every hook of HawkFish."""
