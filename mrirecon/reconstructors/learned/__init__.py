"""Methods with weights: one file each."""
