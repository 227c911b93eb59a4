"""The terminal: the ladder screen at 80 and 120 columns, on a pipe, under NO_COLOR."""
