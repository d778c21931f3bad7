"""The report of an evaluation for people: one page with pictures."""
