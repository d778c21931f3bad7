"""GE P-files."""
