"""Siemens twix files."""
