"""How the images of each method were made, and from whom."""
