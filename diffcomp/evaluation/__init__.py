"""Measures models and other codecs on images by stated protocols: `diffcomp evaluate`.

Where to read, from the command to its files:

    command line, configuration                command.py, evaluate.py
    which images, prepared how                 image_sets.py, protocols.py
    what is measured                           candidates.py (models, baselines, program_codecs)
    rows, workers, resuming                    runner.py, row_file.py
    metrics of image pairs                     metrics.py, which names the modules behind it
    distances between sets of images           distribution_distances.py, set_distances.py
    means, Bjontegaard rates, quoted figures   summary.py, bd_rate.py, published.py
    plots, report                              plots.py, report.py, report_template/

Nothing else in the package imports from here, but the command line.
"""
