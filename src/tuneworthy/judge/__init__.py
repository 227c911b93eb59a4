"""Grade answers with a judge model, and check the judge against human grades.

Start with `grading.py`, which selects the metric and refuses a bad judge; `judge_metric.py` sends
the requests and `calibration.py` tests the judge. The judge is any model of our protocol; every
reply is stored in the ledger, and no judge is accepted without 50 human grades.
"""
