"""Forms of a file of records, one plug-in each: a table, JSON Lines, a document, a folder.

A form has `FORM` (what it is, in words), `opens(path, head)` (whether a file may have it, by its
first bytes; `head` is b"" for a folder) and `records(path)`, which yields a SourceRecord for each
record and a RowFault for each one that can't be read. What records mean is told by `importers/`.
"""
