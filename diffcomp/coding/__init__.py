"""Latents to bits and back, in integers that are exact on every machine. Needs no JAX.

the .dfc container                         bitstream.py
symbols and table indexes of y and z       latent_coder.py, single_pass_coder.py
means and scales, in integers              entropy_parameters.py over fixed_point.py
range coder over integer tables            range_coder.py, cdf_tables.py
quality and its code in the header         quality.py
"""
