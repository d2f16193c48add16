"""Fitting a model: the sharded step, the loop over stages, checkpoints, validation.

Where to read, from the loop down:

    stages, one after the other                train_loop.py
    where the first one starts                 initial_params.py
    one step on a mesh of devices              train_step.py (train_state, optimizer), sharding.py
    stop and go on                             checkpoint.py (checkpoint_reader, checkpoint_scores)
    real files of the weights so far           validation.py
    logs                                       run_metrics.py, metric_writers.py, profile.py

What is minimised stands in `objectives`.
"""
