"""Rows from files: load, audit, folds, and the sealed side. Knows no model and no arm."""
