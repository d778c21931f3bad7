"""Objectives of training, supervised or not: one file each, and what they need."""
