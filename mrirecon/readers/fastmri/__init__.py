"""fastMRI's layouts in HDF5: brain and knee, and prostate."""
