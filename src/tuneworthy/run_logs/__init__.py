"""Forms of the log of a training run, one file each; `lab/own_log.py` chooses among those found.

A form has `finds(folder)` (the names of a folder's files that may have this form) and `read(folder,
name)`, which returns a TrainingLog. It raises DataError for a file that it can't use.
"""
