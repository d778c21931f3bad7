"""k-space that is stored as an array on its grid: plain files and public data sets."""
