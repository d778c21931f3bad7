"""Blocks that networks are made of, channels, and the contracts of their kinds."""
