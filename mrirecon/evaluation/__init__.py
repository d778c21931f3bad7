"""Benchmarks: protocols, scores, reports, and the g-factor and noise that images should have."""
