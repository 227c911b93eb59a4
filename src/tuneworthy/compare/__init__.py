"""Compare the arms: scores, paired differences with bounds, costs, hard limits and trends.

Start with `comparison.py` (`compare` builds the evidence); `pairs.py` computes the bounds and
`choice.py` holds the rules that select a seed or a prompt. All functions are pure: this room calls
no model, reads no file, writes nothing to the ledger and names no winner (`verdict/` does that).
"""
