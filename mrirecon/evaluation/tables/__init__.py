"""What all scores of an evaluation say about the methods, in tables."""
