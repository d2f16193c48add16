"""Measures models and other codecs on images by stated protocols: `diffcomp evaluate`.

Where to read, from the command to its files:

    command line, configuration                command.py, evaluate.py
    which images, prepared how                 image_sets.py, protocols.py
    what is measured                           coders.py (models, baselines, program_codecs)
    rows, workers, resuming                    runner.py, row_file.py
    metrics                                    metrics.py, distribution_distances.py
    means, Bjontegaard rates, quoted figures   summary.py, bd_rate.py, published.py
    plots, report                              plots.py, report.py, report_template/
"""
