"""Further measured figures, one file each: a share of each arm's answers, with its bound.

A file says what the answers do (`SAYS`) and returns for each answer whether it does (`holds`), or
None where that can't be said. The matrix does the rest: terminal, page and JSON show the figure.
"""
