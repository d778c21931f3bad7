"""ISMRMRD / MRD version 1, as HDF5 files and as captured streams."""
