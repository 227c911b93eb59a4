"""Forms of a log of served requests, one file each; `watch/request_log.py` reads a whole log.

A form has `EXAMPLE` (a line of it as an object), `reads(fields)` (whether a line has this form) and
`requests(fields)`, which yields one LoggedRequest for each request of the line and None for each
other thing in it (a span of a tool, say). It raises BadRow for a value that it can't use.
"""
