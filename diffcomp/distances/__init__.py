"""How far apart two pictures are, as functions that training and evaluation share.

grey levels                                distortion.py
features of a trunk                        lpips.py, dists.py over vgg.py
what repeats from cell to cell             grid_error.py
"""
