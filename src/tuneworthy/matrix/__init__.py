"""The matrix of arms × cases, and every mean, difference and level that anybody reads from it.

`design.py` knows how the rows of a study depend on each other, so no caller has to: groups, near
copies, folds that share training rows, retraining. `inputs.py` adds what a look at the rows may
spend. Only this room imports `stats/`. It reads records: no file, no model, no arm by name.
"""
