"""Forms of a log of served requests, one file each; `handover/request_log.py` reads a whole log.

A form has `EXAMPLE` (one line, parsed), `reads(fields)` (whether a parsed line has this form) and
`requests(fields)`, which yields a LoggedRequest for each request in the line and None for each
other item (such as a span of a tool). It raises BadRow for a value that it can't use.
"""
