"""Under `auto` an arm too dear for every case is asked on failed ones, and says what was latent."""

import json
import random

import pytest
from tests import studies

from tuneworthy.flows.study import plan, run
from tuneworthy.models import scripted


def unsure(latent):
    """Greedy it fails every other kind; drawn, it is right in six of eight there if `latent`."""

    def respond(prompt, limits):
        word = scripted.last_user(prompt).split()[0]
        if int(word[4:]) % 2 == 0:
            return word.upper()
        right = latent and limits.temperature > 0 and limits.sample % 4 != 0
        return word.upper() if right else f"not sure {limits.sample}"

    return respond


@pytest.fixture
def task(tmp_path, monkeypatch):
    def write(latent=True, **more):
        monkeypatch.setitem(scripted._BUILT_IN, "unsure", unsure(latent))
        draw = random.Random(3)
        rows = [
            {"id": f"r{i}", "input": f"kind{i} number {draw.randint(0, 99999)}",
             "output": f"KIND{i}"} for i in range(180)
        ]  # fmt: skip
        studies.lines(tmp_path / "train.jsonl", rows[160:])
        studies.lines(tmp_path / "test.jsonl", rows[:160])
        keys = {"data": {"train": "train.jsonl", "test": "test.jsonl"},
                "model": "scripted:unsure",
                "output": {"type": "text", "max_tokens": 4}, "success": {"metric": "exact"},
                **more}  # fmt: skip
        (tmp_path / "task.yaml").write_text(json.dumps(keys))
        return tmp_path / "task.yaml"

    return write


def test_samples_rescue_what_is_latent_and_are_drawn_where_they_are_needed(task):
    results = run(task()).results
    seen = results.evidence.diagnosis
    assert (seen.n_fail, seen.n_pass) == (80, 80)
    assert seen.wrong[0].cause == "latent"
    assert seen.wrong[0].share == 60 / 80, "that it rescues what it was not asked is not claimed"
    assert [(one.name, one.n, one.tried) for one in seen.untried] == [("vote", 20, 60)]
    assert seen.estimates[0].share > 0.9
    runs = [r for r in results.runs if r.spec.name == "vote"]
    asked = [a.case for r in runs for a in r.answers]
    assert len(set(asked)) == len(asked) == 60
    found = {case for case, cause in seen.cause.items() if cause != "untried"}
    assert set(asked) == found, "what was not asked has no cause"
    assert {r.state for r in runs} == {"stopped_early"}
    assert results.verdict.arm != "vote", "an arm measured on failures can't be named"


def test_without_anything_latent_samples_find_nothing(task):
    seen = run(task(latent=False)).results.evidence.diagnosis
    assert all(row.cause != "latent" for row in seen.wrong)


def test_the_plan_lists_it_beside_the_minutes_and_a_list_of_arms_runs_it_on_all(task):
    planned = plan(task())
    assert "vote" not in {arm.spec.name for arm in planned.arms}
    (vote,) = [arm for arm in planned.across if arm.spec.name == "vote"]
    assert vote.requests == 8 * 60
    variants = {a.spec.name for a in planned.arms if "(" in a.spec.name}
    assert variants == {"nearest_shots(k=4)", "nearest_shots(k=16)", "rag(k=4)"}
    assert not any(name in arm.spec.name for name in variants for arm in planned.across)


def test_a_list_of_arms_runs_it_on_every_case(task):
    results = run(task(arms=["majority", "zero_shot", "vote"])).results
    (vote,) = [arm for arm in results.evidence.arms if arm.name == "vote"]
    assert (vote.state, vote.n) == ("measured", 160)
    assert vote.score.mean == 1
    assert results.verdict.arm == "vote"
