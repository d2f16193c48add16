"""Fitting a model: losses, the sharded step, the loop over stages, checkpoints, validation.

stages, one after the other                train_loop.py
one step on a mesh of devices              train_step.py, sharding.py (optimizer, precision)
what is minimised                          losses.py, published_loss.py
where the base model starts                karhunen_loeve.py
stop and go on                             checkpoint.py (checkpoint_reader, checkpoint_scores)
real files of the weights so far           validation.py
logs                                       run_metrics.py
"""
