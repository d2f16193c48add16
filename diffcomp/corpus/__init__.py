"""Corpora: many pictures compressed or decompressed on an existing engine, Apache Beam.

    sources.py        which pictures a command line names, and what each is called
    picture_work.py   one picture's work
    rows.py           what came of a picture: a line of the table
    settings.py       what all outputs of a folder depend on
    storage.py        the folder of outputs: what is done already, and how it gets there
    record_shards.py  outputs as shards of array_record
    beam_storage.py   files wherever Beam's filesystems reach
    beam_pipeline.py  the pipeline

Only the last two import Beam; the rest is tested without it.
"""
