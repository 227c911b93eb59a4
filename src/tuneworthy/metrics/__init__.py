"""One metric a file, per case, 0 to 1. Knows no model and no arm."""
