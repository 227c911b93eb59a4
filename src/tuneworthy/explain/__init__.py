"""Diagnose the base arm's failures: which remedies beat their placebo, the cause of each case.

Start with `diagnosis.py` (`diagnose_runs` turns the runs of a study into a diagnosis); `effects.py`
tests one remedy and `cause_shares.py` assigns the causes. This room calls no model and knows no arm
by name (an arm declares its REMEDY). Its results are evidence: `verdict/` decides what follows.
"""
