"""verdict.json with its schema, answers as CSV, the verdict as JUnit."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from study_fixture import attacked, study

import tuneworthy.report
from tuneworthy.records.errors import TaskError
from tuneworthy.records.verdict import Verdict
from tuneworthy.report.exports import (
    answers_csv,
    export_text,
    junit_xml,
    schema_text,
    verdict_json,
    verdict_schema,
)

TOP = {"schema", "tuneworthy", "task", "use", "arm", "status", "left_on_table", "by_margin", "next",
       "because", "target_met", "looks", "arms", "wrong", "questions", "changes", "economics",
       "flips", "missing", "seconds", "evidence_hash"}  # fmt: skip
ARM = {"name", "tool", "role", "simplicity", "options", "seed", "seeds", "n", "score", "delta",
       "valid", "latency_ms", "tokens", "usd_per_1k", "fit_seconds", "figures", "state",
       "because"}  # fmt: skip


def test_verdict_json_has_the_contract_names_and_fits_its_schema():
    plain = json.loads(verdict_json(study(n=20).verdict))
    assert set(plain) == TOP
    assert set(plain["arms"][1]) == ARM
    assert set(plain["arms"][1]["tokens"]) == {"in", "out"}
    jsonschema.validate(plain, verdict_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "use": "maybe"}, verdict_schema())


def test_verdict_json_round_trips_and_is_one_text():
    verdict = study(n=20).verdict
    text = verdict_json(verdict)
    assert Verdict.model_validate_json(text) == verdict
    assert verdict_json(Verdict.model_validate_json(text)) == text


def test_a61_a_lone_surrogate_does_not_stop_the_writing():
    bad = study(n=5).verdict.model_copy(update={"because": "x\ud800"})
    assert json.loads(verdict_json(bad).encode("utf-8"))["because"] == "x\ud800"


def test_the_shipped_schema_is_current():
    shipped = Path(tuneworthy.report.__file__).parent / "verdict.schema.json"
    assert shipped.read_text("utf-8") == schema_text(), (
        "write it again: verdict.schema.json = tuneworthy.report.exports.schema_text()"
    )


@pytest.mark.parametrize("lead", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\u200b=1", "\ufeff=1"])
def test_a63_no_cell_is_a_formula(lead):
    small = study(n=6)
    runs = tuple(
        run.model_copy(update={"answers": tuple(
            answer.model_copy(update={"text": lead, "error": lead}) for answer in run.answers)})
        for run in small.runs
    )  # fmt: skip
    text = answers_csv(small.model_copy(update={"runs": runs}))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 1 + sum(len(run.answers) for run in small.runs)
    for row in rows:
        for cell in row:
            start = cell.lstrip("\u200b\ufeff ")[:1]
            assert start not in {"=", "+", "@", "\t", "\r"}
            assert start != "-" or cell[1:2].isdigit() is False


def test_csv_leaves_unmeasured_cells_empty():
    rows = list(csv.DictReader(io.StringIO(answers_csv(study(n=20)))))
    recorded = [row for row in rows if row["arm"] == "rules_engine"]
    assert recorded
    assert all(row["usd"] == "" for row in recorded)
    assert {row["score"] for row in rows} <= {"0.0", "1.0", ""}


def test_junit_fails_what_failed_and_skips_what_was_skipped():
    suite = ET.fromstring(junit_xml(study(n=20)))
    tests = {test.get("name"): test for test in suite.findall("testcase")}
    assert tests["arm tfidf"].find("skipped") is not None
    assert tests["arm bigger"].find("failure") is not None
    assert tests["arm zero_shot"].find("failure").get("message") == "violated: valid"
    assert tests["arm constrained"].find("failure") is None
    assert tests["verdict"].find("failure") is None
    assert int(suite.get("failures")) == len(suite.findall("*/failure"))


def test_junit_is_well_formed_with_hostile_text():
    ET.fromstring(junit_xml(attacked(study(n=6), "<x>&\x00\x1b\ud800\uffff]]>")))


def test_a_report_is_written_by_its_suffix():
    small = study(n=6)
    assert export_text(small, ".html").startswith("<!doctype html>")
    assert json.loads(export_text(small, ".json"))["use"] == small.verdict.use
    with pytest.raises(TaskError, match="form"):
        export_text(small, ".pdf")
