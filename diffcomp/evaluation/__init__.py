"""How good a decoded image is: the measures that figures and tables of the codec are made of.

`metrics` compares images pair by pair, `distribution_distances` two sets of images. Nothing else in
the package imports from here.
"""
