"""Check by a log of served requests whether the verdict of a finished study still holds.

Start with `conclusion.py`, the rule; `request_log.py` reads a log, `live_inputs.py`,
`live_answers.py` and `live_facts.py` measure. The steps in order are in `watching.py`.
"""
