"""What makes results on a data set too good: processed k-space, duplicates, shared patients."""
