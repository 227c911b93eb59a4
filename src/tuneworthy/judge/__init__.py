"""Grade answers with a judge model, and check the judge against human grades.

Start with `grading.py` (which metric grades, and is the judge refused); `judge_metric.py` sends the
requests and `calibration.py` tests the judge. It knows the judge by the model protocol only, stores
every reply in the ledger, and accepts no judge without 50 human grades.
"""
