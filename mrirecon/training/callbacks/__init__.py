"""Callbacks around the training loop: checkpoints, averages, pictures, stopping."""
