"""Sizes of random schedules, and the check that a machine finds a planted fault."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tuneworthy.records.errors import StoreError


def sized(examples, steps):
    """Return settings for so many schedules of so many steps."""
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None)


def finds_the_fault(machine):
    """Fail unless one of 400 schedules of a machine fails."""
    few = settings(sized(400, 25), phases=[Phase.generate], database=None, print_blob=False)
    with pytest.raises((AssertionError, StoreError, pytest.fail.Exception, BaseExceptionGroup)):
        run_state_machine_as_test(machine, settings=few)
