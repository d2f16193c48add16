"""A page on which people try the codec: `diffcomp serve`.

    command line -> settings                   commands/serve.py, settings.py
    what a job does, without a page            jobs.py, equal_avif.py, pictures.py
    how long it will take                      pace.py
    what a visitor has here, and for how long  visitors.py
    the page, and what its buttons do          page.py, events.py, figures.py, plot.py
    warm-up, HTTP, the end                     warm_up.py, server.py

Only page.py, events.py and server.py import Gradio; the rest is tested without it.
"""
