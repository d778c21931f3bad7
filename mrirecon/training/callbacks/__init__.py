"""What happens around the training loop: checkpoints, averages, pictures, stopping."""
