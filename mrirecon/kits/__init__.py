"""Frozen benchmarks: which scans, which samples of them, which reference, which scores."""
