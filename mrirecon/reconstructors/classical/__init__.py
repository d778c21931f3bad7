"""Methods without weights: one file each, called like the choice of ``model=``."""
