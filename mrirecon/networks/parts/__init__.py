"""What the networks are made of: blocks, channels, and the contracts of their kinds."""
