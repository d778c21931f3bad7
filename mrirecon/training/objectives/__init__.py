"""What training minimises, supervised or not: one file per objective, and what they need."""
