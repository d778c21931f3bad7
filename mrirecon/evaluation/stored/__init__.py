"""Scores that were written before: read again, compared, and put into one table."""
