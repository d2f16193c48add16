"""How far apart two pictures are, as functions that training and evaluation share.

Where to read:

    grey levels                                distortion.py
    features of a trunk                        lpips.py (lpips_weights), dists.py,
                                               wasserstein_distortion.py
    the trunks                                 vgg.py, convolution.py
    contrast and structure, MS-SSIM            structure_error.py, gaussian_window.py
    what repeats from cell to cell             grid_error.py
    colours of areas                           box_error.py
"""
