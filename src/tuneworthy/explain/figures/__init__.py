"""Further measured figures, one file each: a share of each arm's answers, with its bound.

`SAYS` ends the sentence "12 % of 200 answers (8 % to 17 %) are …". `holds(task, case, answer)`
returns whether an answer is so, or None where that can't be said. The matrix does the rest: JSON
has the figure of every arm, terminal and page show it where it is above 0.
"""
