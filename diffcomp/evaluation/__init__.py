"""Measures models and other codecs on images by stated protocols: `diffcomp evaluate`.

Where to read, from the command to its files:

    command line, configuration                command.py, evaluate.py
    which images, prepared how, or drawn       image_sets.py, protocols.py, failure_pictures.py
    what is measured: models, other codecs     candidates.py, baselines.py, external_codecs.py
    how other codecs are called                pillow_codecs.py, program_codecs.py
    what is known of an image at a quality     rows.py
    one job; jobs side by side                 measuring.py, runner.py
    rows on disk: resuming, other codecs'      row_file.py, row_cache.py
    metrics of image pairs                     metrics/catalogue.py, which names those behind it
    distances between sets of images           set_distances.py, metrics/distribution_distances.py
    means, Bjontegaard rates, their intervals  summary.py, bd_rate.py, rate_comparison.py
    what the columns are called and mean       columns.py
    figures that others published              published.py, published_results/
    tables                                     summary_files.py, printed_tables.py, failure_table.py
    plots, report                              plots.py, report.py, report_template/

Nothing else in the package imports from here, but the command line and the page.
"""
