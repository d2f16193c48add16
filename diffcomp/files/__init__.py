"""Files on disk: pictures of every kind, whole or not at all; PyTorch's weights, read safely."""
