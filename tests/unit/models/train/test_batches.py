"""Order, groups and the shared prompt, without torch."""

import sys
from types import SimpleNamespace

import pytest

from tuneworthy.models.train.schedule import order
from tuneworthy.records.tokens import parts


def row(ids, first):
    """Return a row with token ids and mask, as batching needs it."""
    return SimpleNamespace(ids=tuple(ids), first=first)


def shared(*rows):
    from tuneworthy.records.tokens import shared_length

    return shared_length(rows)


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    import random

    first = order(50, 3, 1)
    random.seed(99)
    assert order(50, 3, 1) == first
    assert sorted(first) == list(range(50))
    assert order(50, 3, 2) != first
    assert order(50, 4, 1) != first
    assert order(50, 1, 3) != first


@pytest.mark.parametrize("budget", [1, 30, 64, 10**6])
def test_every_row_is_in_one_group_and_groups_keep_the_budget(budget):
    rows = [row(range(n), 1) for n in (5, 30, 7, 7, 12, 3, 28, 9)]
    groups = parts(rows, budget, skipped=2)
    assert sorted(i for group in groups for i in group) == list(range(len(rows)))
    for group in groups:
        widest = max(len(rows[i].ids) for i in group) - 2
        assert len(group) == 1 or widest * len(group) <= budget


def test_a_group_holds_rows_of_similar_length():
    rows = [row(range(n), 1) for n in (10, 100, 10, 100)]
    assert parts(rows, 200) == [[1, 3], [0, 2]]


def wasted(rows, batch, lanes, cut):
    """Return the share of padding in the tokens read in one epoch after the shared prompt."""
    real = padded = 0
    turn = order(len(rows), 0, 0)
    for start in range(0, len(rows), batch):
        step = [rows[i] for i in turn[start : start + batch]]
        for group in cut(step, 1024 // lanes, 30, lanes):
            lengths = [len(step[i].ids) - 30 for i in group]
            real += sum(lengths)
            padded += max(lengths) * len(lengths)
    return 1 - real / padded


def test_parts_by_length_waste_a_tenth_at_most():
    """Lengths as of real extraction rows (64 to 134 tokens, 30 shared), default step, two lanes."""
    import random

    draw = random.Random(0)
    rows = [row(range(round(draw.triangular(64, 134, 85))), 1) for _ in range(400)]

    def as_they_come(step, budget, skipped, count):
        size = -(-len(step) // count)
        return [list(range(len(step)))[at : at + size] for at in range(0, len(step), size)]

    assert wasted(rows, 4, 2, parts) <= 0.1
    assert wasted(rows, 4, 2, as_they_come) > 0.1  # the control


def test_the_shared_prompt_ends_before_the_first_difference_and_before_the_last_prompt_token():
    lead = list(range(100, 120))
    assert shared(row([*lead, 1, 2], 21), row([*lead, 3, 4], 21)) == 20
    assert shared(row([*lead, 1, 2], 20), row([*lead, 1, 3], 20)) == 19
    assert shared(row([*lead[:5], 1, 2, 3], 7), row([*lead, 3, 4], 21)) == 0  # too short to pay
    assert shared(row([*lead, 1, 2], 21)) == 0
    other = [*lead[:12], 7, *lead[13:]]
    assert shared(row([*lead, 1, 2], 21), row([*other, 1, 2], 21)) == 12
    assert shared(row([*lead, 1], 20), row([*lead, 2], 20), row([*other, 1], 20)) == 12


def test_light_parts_of_training_start_without_torch():
    import subprocess

    code = (
        "import sys, tuneworthy.models.train.schedule, tuneworthy.models.train.adapter, "
        "tuneworthy.arms.lora; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'peft')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
