"""Fixtures shared by all tests; shapes and types are checked at run time in every test."""

from jaxtyping import install_import_hook

install_import_hook("mrirecon", "beartype.beartype")
