"""What the records of a file mean, one plug-in a format; `containers/` reads the files.

A format has

    FORMAT        what it is called in a message
    NEEDS         the fields without which a record is none of this format, `a.b` inside others
    TAKES         what is taken for the input and for the right answer, in words
    fits(record)  whether a record has the format; no record has two
    rows(record, notes)   the rows of a record that fits, with the answers of systems. `notes` is
                  one dict for a whole file, with its "path". Raises BadRow for a record without
                  use; its reason is counted and shown.
    note(record, notes)   optional: reads what another record of the file says of all

Records of no format are rows of a table: `data/column_roles.py` says what its columns are.
"""
