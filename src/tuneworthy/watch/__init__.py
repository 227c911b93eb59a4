"""Watch a system in use: does what its study showed still hold for a log of served requests?

Start with `conclusion.py`, the rule (pure); `request_log.py` reads a log, `live_inputs.py`,
`live_answers.py` and `live_facts.py` measure. The steps in order are in `watching.py`.
"""
