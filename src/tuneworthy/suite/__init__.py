"""Generated tasks of known type and cause, one a file; rows come from a seed."""
