"""A model's networks as StableHLO programs beside its parameters: docs/exported_programs.md.

Where to read:

    a codec that runs with them                loading.py
    writing them                               writing.py
    what there is to know of them, and checks  manifest.py
    which JAX is promised to read them         jax_window.py
    the programs, found again and called       program_set.py
    the float part of coding with them         networks.py
    from y_hat to the picture                  sampling.py
    pictures larger than a program takes       tiles.py
    their results beside the networks' own     comparison.py
"""
