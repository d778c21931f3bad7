"""HDF5 files, opened read-only, that give only what they hold themselves."""
