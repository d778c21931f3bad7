"""The noise and the g-factor that images should have."""
