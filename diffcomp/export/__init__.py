"""A trained model as files: weights, and the integers that its coding part is made of.

Where to read:

    writing and reading a model's folder       exported_model.py
    where models lie                           shipped_models.py
    the authors' weights as a model            published_import.py
"""
