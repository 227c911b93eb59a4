"""Optional measurements after the arms: harm, changes, known facts, freshness, curves and more.

Start with `runner.py`: `with_extras` runs them all; others plan them and cut them for time. They
explain the verdict and never choose or name an arm; a failed measurement leaves a reason in
`Evidence.missing` and no error. Results are stored in the ledger, so a study can resume.
"""
