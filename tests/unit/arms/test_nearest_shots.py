"""nearest_shots: a k whose prompts don't fit is refused, with the largest that does."""

import re

import pytest
from arms_kit import queries, setup

from tuneworthy.arms import nearest_shots
from tuneworthy.arms._prompted import answer_token_limit
from tuneworthy.records.errors import DoesNotApply


def fitted(tmp_path, k, context):
    parts = setup(lambda prompt, limits: "refund", tmp_path)
    parts.models["base"].context = context
    return parts, nearest_shots.fit(parts, nearest_shots.Options(k=k), 0)


def test_the_largest_k_that_fits_is_named_and_is_the_largest(tmp_path):
    with pytest.raises(DoesNotApply, match="the context of scripted:test is 120") as caught:
        fitted(tmp_path, 16, 120)
    most = int(re.search(r"at most k = (\d+) fits", str(caught.value))[1])
    assert 1 <= most < 16
    parts, arm = fitted(tmp_path, most, 120)
    sizes = [parts.models["base"].count_tokens(a.prompt) for a in arm.answer(queries())]
    assert max(sizes) + answer_token_limit(parts) <= 120 + 2  # a scored input may be a bit longer
    with pytest.raises(DoesNotApply):
        fitted(tmp_path, most + 1, 120)


def test_what_fits_or_cannot_be_known_is_not_refused(tmp_path):
    assert fitted(tmp_path, 16, None)[1].answer(queries())
    assert fitted(tmp_path, 16, 10_000)[1].answer(queries())


def test_a_context_too_small_for_one_example_says_so(tmp_path):
    with pytest.raises(DoesNotApply, match="not even one"):
        fitted(tmp_path, 4, 20)


def test_without_dev_rows_the_training_rows_are_tried(tmp_path):
    parts = setup(lambda prompt, limits: "refund", tmp_path, dev=[])
    parts.models["base"].context = 40
    with pytest.raises(DoesNotApply, match="context"):
        nearest_shots.fit(parts, nearest_shots.Options(k=8), 0)
