"""Whole studies through the command line say what the simulated rule says, study by study."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "stats"))

import stats_many as several
import stats_worlds as worlds

from tuneworthy.cli._frame import run as command
from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds

TOOLS = np.array([0, 1, 1, 1, 2])
NAMES = ("present", "one", "two", "three", "tuned")
TRUTH = (0.7, 0.72, 0.76, 0.74, 0.8)
N = 120


def write(folder, right, draw):
    """Write a study of recorded answers in which arm a is right on row i where right[i, a]."""
    words = ["parcel", "invoice", "router", "garden", "window", "violin", "engine", "ticket"]
    rows = [
        {"id": f"r{i}", "output": ("yes", "no")[i % 2],
         "input": f"{' '.join(draw.choice(words, 6))} {draw.integers(10**9)} {i * 7919}"}
        for i in range(len(right))
    ]  # fmt: skip
    lines(folder / "rows.jsonl", rows)
    for a, name in enumerate(NAMES):
        told = [{"id": r["id"], "answer": r["output"] if right[i, a] else "other"}
                for i, r in enumerate(rows)]  # fmt: skip
        lines(folder / f"{name}.jsonl", told)
    task = {
        "name": "recorded",
        "data": {"file": "rows.jsonl"},
        "arms": ["present", "answers"],
        "present": {"answers": "present.jsonl"},
        "answers": {name: {"file": f"{name}.jsonl", "tool": tool} for name, tool in
                    zip(NAMES[1:], ("prompt",) * 3 + ("tune",), strict=True)},
    }  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task), "utf-8")


def lines(path, values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")


def fast(right):
    """Return the named arm, firm or not, and the points left, by the simulated rule."""
    scores = right[None].astype(float)
    mean, _, high = worlds.pair_bounds(scores > 0, bounds.level(0.05))
    three, who = several.placed(mean, high, scores, TOOLS)
    rung, left, firm = ladder.climb_many(*three, 0.05)
    return NAMES[who[0, rung[0]]], "firm" if firm[0] else "provisional", float(left[0])


@pytest.mark.parametrize(
    "studies", [pytest.param(12, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.long)]
)
def test_p19_the_command_says_what_the_simulated_rule_says(tmp_path, studies):
    rng, statuses = np.random.default_rng(60), set()
    for study in range(studies):
        folder = tmp_path / f"s{study}"
        folder.mkdir()
        gain = 0.1 * (study % 3)
        truth = (*TRUTH[:-1], TRUTH[-1] + gain)
        right = worlds.answers(rng, 1, N, truth, worlds.NEAR)[0]
        top = np.sort(right[:, TOOLS == 1].sum(0))
        right[0, 3] ^= top[-1] == top[-2]  # of two that tie, which one is named is not the point
        write(folder, right, rng)
        assert command(["run", str(folder / "task.yaml")]) == 0
        found = json.loads(next(folder.glob("results/*/verdict.json")).read_text())
        name, status, left = fast(right)
        assert (found["arm"], found["status"]) == (name, status)
        assert found["left_on_table"]["points"] == pytest.approx(left, abs=0.005)  # other draws
        statuses.add(status)
    assert statuses == {"firm", "provisional"}


@pytest.mark.full
def test_p19_three_hundred_rows_in_ten_groups_that_never_differ_are_not_firm(tmp_path):
    rng = np.random.default_rng(61)
    right = np.repeat(rng.random((300, 1)) < 0.7, 5, 1)
    write(tmp_path, right, rng)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    lines(tmp_path / "rows.jsonl", [{**r, "group": f"g{i // 30}"} for i, r in enumerate(rows)])
    assert command(["run", str(tmp_path / "task.yaml")]) == 0
    found = json.loads(next(tmp_path.glob("results/*/verdict.json")).read_text())
    assert (found["arm"], found["status"]) == ("present", "provisional")
    assert found["left_on_table"]["points"] > 0.25
