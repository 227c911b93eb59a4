"""Settle a tentative verdict: a person votes only on inputs where its finalists disagree.

Start with `sequential.py` (`SequentialSettling` chooses the next question and bounds the pairs
after every click); `pairwise_votes.py` turns clicks into differences and `replay.py` repeats a
settled study. The session with a person is `settling.py`, one level up; this package never prompts
or prints.
"""
