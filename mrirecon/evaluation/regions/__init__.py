"""Regions of volumes that are scored apart from the rest."""
