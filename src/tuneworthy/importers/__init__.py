"""Importers: one plug-in per format turns records into rows; `containers/` reads the files.

A format has

    FORMAT        its name in messages
    NEEDS         the fields that each record of this format has, `a.b` for a field of a field
    TAKES         the sources of the input and of the right answer, in words
    fits(record)  whether a record has this format; no record fits two
    rows(record, notes)   the rows of a record that fits, with the answers of systems. `notes` is
                  one dict for a whole file, with its "path". Raises BadRow for a record that
                  makes no row; its reason is counted and shown.
    note(record, notes)   optional: reads from another record what holds for the whole file
    learn(sample, notes)  optional: reads from the first records what holds for the whole file

Records of no format are rows of a table, whose columns `data/column_roles.py` recognises.
"""
