"""From evidence to a verdict, pure: no files, no clock, no arm names."""
