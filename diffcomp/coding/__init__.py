"""Latents to bits and back, in integers that are exact on every machine. Needs no JAX.

Where to read, from the file down:

    the .dfc container                         bitstream.py (file_info: what it says of itself)
    areas of one colour in the container       flat_areas.py, by flat_area_tables.py
    EXIF and XMP in the container              metadata.py
    symbols and table indexes of y and z       latent_coder.py
    the passes over y, by family               grouped_coder.py, single_pass_coder.py
    which channels and positions a pass codes  channel_groups.py
    means, steps and scales, in integers       entropy_parameters.py over fixed_point.py
    range coder over integer tables            range_coder.py, cdf_tables.py
    how short a stream can be                  stream_length.py
    positions and sizes                        grid.py, space_to_depth.py
    quality and its code in the header         quality.py
"""
