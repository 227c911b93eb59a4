"""Forms of a file of records, one plug-in each: a table, JSON Lines, a document, a folder.

A form has `FORM` (its name in messages), `opens(path, head)` (whether a file may have this form, by
its first bytes; `head` is b"" for a folder) and `records(path)`, which yields a RawRow for
each record and a RowFault for each one that can't be read. Optional: `ORDER` (forms with a lower
number are tried first), `form_of(path)` (the name of one file's form, "" for `FORM`),
`split_of(path)` (the column that it adds to say each row's split, "" for none). `importers/` turn
records into rows.
"""
