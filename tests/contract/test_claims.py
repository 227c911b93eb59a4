"""Experiments on claims: each has a prediction and a rule, verdicts follow from the numbers."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuneworthy.lab.claim_results import (
    Claim,
    ClaimResult,
    Expected,
    Figure,
    as_expected,
    claim_results,
    standing_of,
    verdict_of,
    waiting_claims,
)

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").glob("e[0-9][0-9]_*.py"))
RESULTS = ROOT / "experiments" / "results"


@pytest.fixture(scope="module", autouse=True)
def folder():
    sys.path.insert(0, str(ROOT / "experiments"))
    yield
    sys.path.remove(str(ROOT / "experiments"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def script(request):
    return import_module(request.param.stem)


def result_of(script):
    path = RESULTS / f"{script.CLAIM.name}.json"
    if not path.is_file():
        pytest.skip("not run yet")
    return json.loads(path.read_text("utf-8"))


def test_a_prediction_with_its_direction_and_a_rule(script):
    claim = script.CLAIM
    assert claim.prediction
    assert claim.refuted_if
    assert claim.expects
    assert f"E{claim.number}:" in script.__doc__
    assert claim.holds_if
    for expected in (*claim.expects, *claim.holds_if):
        assert (expected.above is None) != (expected.below is None)
    path = Path(script.__file__)
    assert path.stem == f"e{claim.number:02d}_{claim.name}"
    assert len(path.read_text("utf-8").splitlines()) <= 100


def test_the_result_is_of_the_prediction_that_stands_in_the_script(script):
    told = result_of(script)
    assert {key: told[key] for key in Claim.model_fields} == script.CLAIM.model_dump(mode="json")
    assert told["reduced"] == list(getattr(script, "REDUCED", ()))
    assert all(told[key] for key in ("machine", "command", "date", "model"))
    assert told["found"] == script.FOUND  # what it means for the claim, not for our prediction
    assert re.search(r"^[^.]*\.$", script.FOUND), "one sentence"
    assert told["caveat"] == getattr(script, "CAVEAT", "")
    assert told["compares"] == script.COMPARES
    assert told["models"] == getattr(script, "MODELS", 1)


def test_figures_and_verdict_follow_from_the_data(script):
    told = result_of(script)
    again = script.figures(told["data"])
    assert [figure.name for figure in again] == [figure["name"] for figure in told["figures"]]
    for figure, kept in zip(again, told["figures"], strict=True):
        assert figure.n == kept["n"]
        for key in ("mean", "low", "high"):
            assert getattr(figure, key) == pytest.approx(kept[key], abs=2e-3)
    assert verdict_of(script.CLAIM.expects, again) == told["verdict"]
    assert standing_of(script.CLAIM.holds_if, again, told["models"]) == told["standing"]
    units = {each.figure: each for each in script.CLAIM.holds_if}
    assert len({figure.unit for figure in again if figure.name in units}) == 1  # one axis


def test_what_ships_is_what_was_found():
    found = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")]
    plain = {told["name"]: {k: v for k, v in told.items() if k != "data"} for told in found}
    assert {told.name: told.model_dump(mode="json") for told in claim_results()} == plain
    assert [told.number for told in claim_results()] == sorted(told["number"] for told in found)
    claims = {path.stem: import_module(path.stem).CLAIM for path in FILES}
    waiting = [claim for claim in claims.values() if claim.name not in plain]
    assert list(waiting_claims()) == sorted(waiting, key=lambda claim: claim.number)


def figure(low, high):
    return Figure(name="gain", mean=(low + high) / 2, low=low, high=high, n=200)


@pytest.mark.parametrize(
    ("expected", "low", "high", "side"),
    [
        ({"above": 0.05}, 0.06, 0.2, True),
        ({"above": 0.05}, -0.1, 0.04, False),
        ({"above": 0.05}, 0.0, 0.1, None),
        ({"above": 0.05, "fails_at": 0.0}, -0.1, 0.04, None),
        ({"above": 0.05, "fails_at": 0.0}, -0.1, -0.01, False),
        ({"below": 0.05}, -0.1, 0.04, True),
        ({"below": 0.05}, 0.06, 0.2, False),
        ({"below": 0.05}, 0.0, 0.2, None),
        ({"below": 0.05, "fails_at": 0.1}, 0.06, 0.2, None),
        ({"below": 0.0}, -0.2, -0.1, True),
    ],
)
def test_the_side_of_an_interval(expected, low, high, side):
    assert as_expected(Expected(figure="gain", **expected), figure(low, high)) is side


def test_one_failed_expectation_refutes_and_an_open_one_leaves_it_open():
    holds, fails, left = figure(0.1, 0.2), figure(-0.2, -0.1), figure(-0.1, 0.1)
    named = [
        each.model_copy(update={"name": n})
        for n, each in zip("abc", (holds, fails, left), strict=True)
    ]
    rule = {n: Expected(figure=n, above=0.0) for n in "abc"}
    assert verdict_of([rule["a"]], named) == "confirmed"
    assert verdict_of([rule["a"], rule["c"]], named) == "undecided"
    assert verdict_of([rule["a"], rule["c"], rule["b"]], named) == "refuted"
    with pytest.raises(KeyError):
        verdict_of([Expected(figure="d", above=0.0)], named)
    with pytest.raises(ValueError, match="give one of"):
        as_expected(Expected(figure="gain"), holds)


@pytest.mark.parametrize(
    ("sides", "models", "standing"),
    [
        ("h", 2, "holds"),
        ("hh", 1, "holds here only"),
        ("hf", 2, "holds here only"),
        ("hfo", 1, "holds here only"),
        ("f", 1, "does not hold"),
        ("fo", 2, "does not hold"),
        ("o", 2, "not known"),
        ("ho", 2, "not known"),
    ],
)
def test_whether_a_claim_holds_follows_from_its_figures(sides, models, standing):
    bounds = {"h": (0.1, 0.2), "f": (-0.2, -0.1), "o": (-0.1, 0.1)}
    named = [figure(*bounds[side]).model_copy(update={"name": str(at)})
             for at, side in enumerate(sides)]  # fmt: skip
    rule = [Expected(figure=each.name, above=0.0) for each in named]
    assert standing_of(rule, named, models) == standing


def test_a_result_is_read_back_as_it_was_written():
    for told in claim_results():
        assert ClaimResult.model_validate(told.model_dump(mode="json")) == told


def test_the_table_of_the_evidence_is_that_of_the_results():
    page = (ROOT / "docs" / "evidence" / "claims.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| E")]
    assert rows == import_module("_claim").evidence_rows()


@pytest.mark.parametrize(("scores", "text", "code"), [([1, 0], "y", 0), ([1, 0], "z", 0),
                                                      ([1, 1], "y", 1)])  # fmt: skip
def test_random_units_are_made_again_and_compared(
    tmp_path, monkeypatch, capsys, scores, text, code
):
    rerun, claim = import_module("rerun_units"), import_module("_claim")
    made = {"scores": [1, 0], "texts": ["x", "y"]}

    def collect():
        for seed in range(4):
            claim.unit({"arm": "lora", "seed": seed}, lambda: {"heats": {"0": dict(made)}})

    monkeypatch.chdir(tmp_path)
    collect()
    made.update(scores=scores, texts=["x", text])
    monkeypatch.setattr(rerun, "import_module", lambda name: SimpleNamespace(collect=collect))
    monkeypatch.setattr(sys, "argv", ["rerun_units.py", "e99", "--units", "2"])
    assert rerun.main() == code
    told = capsys.readouterr().out
    assert told.count(f"scores {2 - code} of 2, texts {1 + (text == 'y')} of 2") == 2
    assert Path.cwd() == tmp_path
