"""Build the evidence of a study: scores, costs, hard limits, slices; two logs, two studies.

Start with `comparison.py` (`compare` builds the evidence). Bounds come from `matrix/`. All is
pure: this room calls no model, reads no file, writes nothing to the ledger and names no winner
(`verdict/` does that).
"""
