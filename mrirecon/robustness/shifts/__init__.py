"""Shifts, one file each: what they make of a fully sampled scan or of its sampling."""
