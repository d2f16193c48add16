"""What training minimises, for each family of networks, as functions of parameters and images.

Where to read:

    losses of the base model, by kind of stage base.py (config: its weights)
    the published loss                         published.py
    what they are given and give back          objective.py
    the linear codec that training starts from karhunen_loeve.py
"""
