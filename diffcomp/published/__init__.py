"""The authors' networks as released with the paper; their files become models in `export`."""
