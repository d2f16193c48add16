"""The base model's networks in Flax: image to latents, and y_hat to image."""
