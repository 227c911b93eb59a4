"""Forms of the log of a training run, one file each; `lab/own_log.py` chooses among those found.

A form has `finds(folder)` (the files of a folder that have this form, by their names alone) and
`read(folder, name)`, which returns a TrainingLog. It raises DataError for a file that it can't use.
"""
