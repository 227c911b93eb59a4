"""Plan the arms and run them: units, placebos, latency, the schedule that spends the minutes.

Start with `planning.py` (`make_plan` returns the plan) and `units.py` (`measure` runs one arm and
stores every unit in the ledger); `schedule_runner.py` executes the plan. Only this room opens the
sealed side (to score). It knows no arm by name and computes no verdict.
"""
