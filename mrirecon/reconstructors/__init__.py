"""Reconstruction methods, classical and learned: one file each."""
