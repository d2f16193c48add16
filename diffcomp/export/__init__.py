"""A trained model as files: weights, and the integers that its coding part is made of."""
