"""The sub-commands of `diffcomp`, a file each: its options, and what it does with them.

terminal.py: lines and progress for a person. file_jobs.py: many files in one command.
"""
