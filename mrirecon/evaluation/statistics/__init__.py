"""What the scores of some patients tell about methods, and what they leave open."""
