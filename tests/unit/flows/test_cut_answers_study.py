"""D3: a model that talks before it answers is cut by a limit made from short right answers."""

import random

import pytest
from tests import studies

import tuneworthy

TALK = " ".join(["well"] * 40)


@pytest.fixture(scope="module", params=["short", "talks"])
def study(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    draw = random.Random(5)
    rows = [{"id": f"r{k}", "input": f"count {k % 9} apples", "output": str(k % 9)}
            for k in range(120)]  # fmt: skip
    said = {str(k): f"{TALK if request.param == 'talks' else 'it is'} {k}" for k in range(9)}
    task = studies.write(
        folder, data={"file": "numbers.jsonl"}, output={"type": "number"}, present=None,
        arms=["majority", "zero_shot", "tuned"],
        answers={"tuned": {"file": "tuned.jsonl", "tool": "tune"}},
    )  # fmt: skip
    studies.lines(folder / "numbers.jsonl", rows)
    studies.lines(
        folder / "replies.jsonl",
        [{"when": f"count {k} apples", "say": text} for k, text in said.items()],
    )
    tuned = [{"id": r["id"], "answer": r["output"] if draw.random() < 0.9 else "99"} for r in rows]
    studies.lines(folder / "tuned.jsonl", tuned)
    return request.param, tuneworthy.run(task)


def test_d3_both_twins_end_with_the_same_arm(study):
    which, found = study
    arms = {arm.name: arm for arm in found.results.evidence.arms}
    assert found.verdict.arm == "zero_shot"
    if which == "short":
        assert arms["zero_shot"].cut is None
        return
    cut = arms["zero_shot"].cut
    assert (cut.n, cut.wrong, cut.gained) == (120, 120, cut.asked)
    assert cut.asked >= 16
    assert arms["zero_shot"].score.mean == 0
    assert arms["tuned"].cut is None
    assert found.verdict.status == "provisional"
    assert found.verdict.next.do == "raise output.max_tokens"
