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


def test_losses_are_compared_on_the_same_rows_at_equal_tokens(bench, monkeypatch, capsys):
    import losses

    from tuneworthy.arms._pairs import Pair, WrittenPairs

    def answered(setup, teacher, sources, options):  # a tiny teacher would name no label
        labels = setup.task.output.labels
        told = enumerate(source.query for source in sources)
        return WrittenPairs([Pair(query, (labels[at % 3],)) for at, query in told])

    monkeypatch.setattr(losses, "write_pairs", answered)
    words = ("--tasks", "clause_type", "--seeds", "0,1", "--taught", "16", "--free", "12",
             "--test", "8", "--epochs", "1", "--teacher-epochs", "1")  # fmt: skip
    told = bench("losses", *words)["tasks"]["clause_type"]
    units = {(unit["loss"], unit["seed"]): unit for unit in told["units"]}
    assert list(units) == [(loss, seed) for seed in (0, 1) for loss in losses.LOSSES]
    assert {unit["rows"] for unit in units.values()} == {12}
    assert len({unit["rate"] for unit in units.values()}) == 1, "one peak of the learning rate"
    for seed in (0, 1):
        drawn, text, kl = (units[loss, seed] for loss in losses.LOSSES)
        each = text["tokens"] / text["epochs"]
        assert each == told["teacher"]["epoch_tokens"], "as counted before the training"
        assert (text["tokens"], text["steps"]) == (kl["tokens"], kl["steps"])
        assert abs(drawn["tokens"] - text["tokens"]) <= each / 2 or text["epochs"] == 1
    assert all(len(u["score"]) == len(u["agreement"]) == 8 for u in units.values() if u["score"])
    assert "| clause_type | on_policy - text |" in capsys.readouterr().out
    monkeypatch.setattr(losses, "unit", None)  # it would fail if a unit ran again
    assert bench("losses", *words)["tasks"]["clause_type"] == told


def test_a_difference_of_losses_allows_for_other_rows_and_another_training(monkeypatch):
    np = pytest.importorskip("numpy")
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(str(BENCH))
    from losses import difference, interval

    draw = np.random.default_rng(0)
    one, other = (draw.random((3, 80)) < p for p in (0.9, 0.6))
    mean, low, high = difference(one * 1.0, other * 1.0, 3)
    assert mean == pytest.approx((one * 1.0 - other).mean(), abs=1e-4)
    assert 0 < low < mean < high
    swaying = one.copy()
    swaying[0] = False  # a training that failed
    assert difference(swaying * 1.0, other * 1.0, 3)[1] < 0, "the seeds disagree"
    assert difference(one * 1.0, one * 1.0, 3)[0] == 0
    assert interval(one * 1.0)[1] < one.mean() < interval(one * 1.0)[2] <= 1
