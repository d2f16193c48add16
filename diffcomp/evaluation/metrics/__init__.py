"""Metrics of picture pairs and of sets of pictures; `catalogue.py` names them all."""
