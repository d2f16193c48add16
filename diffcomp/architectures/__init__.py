"""Families of networks. Each is one `Architecture`, in one file: all that the rest must know of it.

Where to read:

    what there is to know                      architecture.py
    this project's own model                   base.py
    the authors' model                         published.py
    which family a configuration is of         registry.py
"""
