"""Readouts of a scanner to k-space on a grid: noise, oversampling, sorting, frames, geometry."""
