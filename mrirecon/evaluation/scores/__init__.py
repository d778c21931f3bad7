"""Protocols, and the scores of volumes by them."""
