"""From evidence to a verdict, as a pure function: no files, no clock, no arm names."""
