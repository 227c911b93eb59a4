"""The benchmarks of distillation run to their end on a tiny model, and go on where they stopped."""

import json
import sys
from pathlib import Path

import pytest
from tests.tiny import tiny_llama

pytestmark = pytest.mark.full
BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return what runs a benchmark's `main` and returns the figures that it wrote."""
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    import _bench

    monkeypatch.setattr(_bench, "RESULTS", tmp_path)
    tiny_llama(tmp_path / "tiny")

    def run(name, *words):
        module = __import__(name)
        given = [name, str(tmp_path / name), "--model", f"hf:{tmp_path / 'tiny'}", *words]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", given)
            module.main()
        return json.loads((tmp_path / f"{name}.json").read_text())

    return run


def test_a_served_teacher_is_distilled_by_the_benchmark(bench, monkeypatch, capsys):
    pytest.importorskip("skops")
    words = ("--teacher", "classifier", "--units", "classifier,refused", "--test", "36",
             "--free", "120", "--taught", "300", "--port", "0")  # fmt: skip
    told = bench("distil", *words)
    named, refused = told["units"]["classifier"], told["units"]["refused"]
    assert named["use"] == "distil"
    assert named["distilled"]["pairs"]["kept"] > 100
    assert "not shown to be better" in refused["because"]["distil(student=classifier, samples=1)"]
    table = capsys.readouterr().out
    assert table.count("| teacher |") == table.count("| distilled student |") == 2
    assert "| refused | distilled student | 0 | not measured |" in table
    monkeypatch.setattr("distil.judged", None)  # it would fail if a unit ran again
    assert bench("distil", *words)["units"] == told["units"]
    alone = bench("distil", *words[:3], "refused", *words[4:])
    assert alone["units"] == told["units"], "one unit a call loses no other"
