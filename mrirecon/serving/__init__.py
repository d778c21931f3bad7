"""Reconstruction at the scanner: MRD sessions over a socket, from both ends."""
