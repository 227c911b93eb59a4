"""The page of what training changes: figures of real runs, and nothing where none is recorded."""

import json
from dataclasses import replace

import pytest
from tests.tiny import tiny_llama

from tuneworthy.lab import tuning_kinds
from tuneworthy.lab.events import read_record
from tuneworthy.lab.pages import Site

SHORT = {"rows": 8, "epochs": 1}


@pytest.fixture
def record(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from tuneworthy.models.hf import load

    monkeypatch.setattr("tuneworthy.lab.cases.NEW_ROWS", 4)
    monkeypatch.setattr("tuneworthy.lab.experiment.ANSWER_TOKENS", 6)
    kept = ("LoRA", "Full", "Shuffled labels")
    kinds = [
        replace(kind, turns={**kind.turns, **SHORT})
        for kind in tuning_kinds.KINDS
        if kind.name in kept
    ]
    monkeypatch.setattr(tuning_kinds, "KINDS", kinds)
    model = load(tiny_llama(tmp_path / "model"), "hf:./model", "float32")
    path = tuning_kinds.record_kinds(model, tmp_path / "work", tmp_path / "kinds.json.gz", str)
    return read_record(path.read_bytes())


@pytest.mark.full
def test_each_kind_is_trained_and_measured_layer_by_layer(record, monkeypatch):
    begin, untrained, *kinds = record
    lora, full, shuffled = kinds
    assert set(untrained["weights"]) == set(untrained["outputs"]["general"]) == {0.0}
    assert len(untrained["answers"]) == 6
    for kind in kinds:
        assert len(kind["weights"]) == len(kind["outputs"]["tickets"]) == 3
        assert all(value > 0 for value in (*kind["weights"], *kind["outputs"]["general"]))
        assert kind["steps"] == 2
        assert len(kind["answers"]) == 6
    assert full["parameters"] > lora["parameters"] == shuffled["parameters"]
    assert lora["outputs"] != shuffled["outputs"], "other labels make another model"
    said = {**begin, "kinds": [untrained, *kinds]}
    monkeypatch.setattr(tuning_kinds, "shipped_record", lambda name, rest: said)
    page = tuning_kinds.kinds_page(Site(live=False))
    assert page.count("<svg") == 12
    assert page.count("<rect") == 36
    assert f"{full['parameters']:,}" in page


def test_without_a_record_the_page_names_the_command(monkeypatch):
    monkeypatch.setattr(tuning_kinds, "shipped_record", lambda name, rest: None)
    assert "python bench/lab.py kinds" in tuning_kinds.kinds_page()


def test_the_shipped_record_holds_every_kind():
    record = tuning_kinds.shipped_record("kinds", "kinds")
    names = ["Untrained", *(kind.name for kind in tuning_kinds.KINDS)]
    assert [kind["name"] for kind in record["kinds"]] == names
    assert all(len(kind["weights"]) == 30 for kind in record["kinds"])
    assert "NaN" not in json.dumps(record)


def test_a_fall_of_the_loss_has_a_true_minus_and_the_other_measurement_is_linked():
    page = tuning_kinds.kinds_page(Site(live=False))
    assert "−.33" in page
    assert "-0.33" not in page
    assert 'href="experiments.html#e14"' in page


def test_the_takeaway_is_true_of_the_record_and_stands_above_the_bars():
    kinds = tuning_kinds._page_data(tuning_kinds.shipped_record("kinds", "kinds"))["named"]
    lora, long, shuffled = (kinds[name] for name in ("LoRA", "Many epochs", "Shuffled labels"))
    assert shuffled["moved"] >= lora["moved"]
    assert shuffled["score"] < lora["score"] / 2
    for key in ("score", "moved"):
        assert long[key] == max(kind[key] for kind in kinds.values())
    page = tuning_kinds.kinds_page(Site(live=False))
    for text in ("scored .12, not .64", "no interval"):
        assert page.index(text) < page.index('class="kinds"')


def test_json_breaks_after_a_comma_or_a_bracket_and_stays_escaped():
    page = tuning_kinds.kinds_page(Site(live=False))
    assert "{<wbr>&#34;name&#34;:<wbr>&#34;Winnie&#34;,<wbr>&#34;order&#34;" in page
