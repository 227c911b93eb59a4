"""Evidence and policy in, the same verdict out: every use, every status, field by field."""

import json
from pathlib import Path

import pytest

from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.verdict import Finding, Verdict
from tuneworthy.verdict.decide import decide

FILES = sorted(Path(__file__).parent.glob("*.json"))
USES = {
    "keep", "classifier", "prompt", "schema", "context", "bigger", "tune", "distil", "none",
}  # fmt: skip


def near(value):
    """Return floats as approximate: the last bits may differ between machines."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-9, abs=1e-12)
    if isinstance(value, dict):
        return {key: near(inner) for key, inner in value.items()}
    return [near(inner) for inner in value] if isinstance(value, list) else value


def decided(whole):
    findings = [Finding.model_validate(finding) for finding in whole["findings"]]
    found = Evidence.model_validate(whole["evidence"])
    return decide(found, findings, Policy.model_validate(whole["policy"]), version="golden")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_verdict_is_the_recorded_one(path):
    whole = json.loads(path.read_text())
    got = json.loads(decided(whole).model_dump_json(by_alias=True))
    assert got == near(whole["verdict"])
    assert Verdict.model_validate(got)


def test_every_use_and_status_has_a_golden_file():
    verdicts = [json.loads(path.read_text())["verdict"] for path in FILES]
    assert {verdict["use"] for verdict in verdicts} == USES
    assert {verdict["status"] for verdict in verdicts} == {"firm", "provisional", "blocked"}


def test_another_policy_gives_another_verdict():
    whole = json.loads((Path(__file__).parent / "worked-example.json").read_text())
    whole["policy"]["margin"] = 0.15
    assert decided(whole).arm == "keep" != whole["verdict"]["arm"]
