"""A run that was interrupted ends as one that was not, to the last bit (N10, P5, P6, M1-M7)."""

import hashlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tuneworthy.records.errors import StoreError
from tuneworthy.store import signals

pytestmark = pytest.mark.full
EPOCHS, STEPS = 8, 40
WHOLE, SALT = [], [0]
TIMES = ("seconds", "dev_seconds", "tokens_per_second")


class Lost(Exception):
    """Raised in place of the death of the process: nothing can be saved after it."""


@pytest.fixture
def kit(tiny, monkeypatch):
    """A 40-step fit in a folder that records its steps and can be stopped or killed."""
    from tuneworthy.models.train import loop
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    model = tiny.stand(tiny.model("llama", 1, num_hidden_layers=1), tiny.tokenizer())
    rows, dev, backward = tiny.examples(10), tiny.examples(4, seed=9), loop.backward
    pace = loop.TrainingSchedule(epochs=EPOCHS, batch=2, rate=5e-3)
    settings = LoraSettings(rank=4, alpha=8, pace=pace)
    done = SimpleNamespace(steps=0, scored=[], said=[])

    def counted(*given):
        done.steps += 1
        return backward(*given)

    def score(folder):
        signals.check()
        data = (folder / "adapter_model.safetensors").read_bytes()
        done.scored.append(hashlib.sha256(b"%d" % SALT[0] + data).hexdigest())
        return int(done.scored[-1][:4], 16) / 65535  # depends on every bit, and on nothing else

    monkeypatch.setattr(loop, "backward", counted)

    def fit(folder, stop=0, die=0, seed=3, **changes):
        """Fit; with `stop` or `die`, ask to stop or die once so many steps of it are done."""
        done.steps, done.scored, done.said = 0, [], []
        given = {"model": model, "rows": rows, "dev": dev, "settings": settings, **changes}

        def say(text):
            done.said.append(text)
            if done.steps == stop > 0:
                signals._stop_signal = 143
            if done.steps == die > 0:
                raise Lost

        try:
            lessons = TrainingData(given["rows"], given["dev"], score, say)
            return fit_lora(given["model"], lessons, given["settings"], seed, folder)
        finally:
            signals._stop_signal = None

    def want(folder):
        """Return the result of a fit that nothing interrupts: the same for every test.

        Its best epoch must not be the last, and which one it is depends on this machine's bits.
        """
        while not WHOLE:
            found = result(fit(folder / f"whole-{SALT[0]}"))
            assert done.steps == STEPS
            if found[1]["chosen"] < EPOCHS:
                WHOLE.append(found)
            else:
                SALT[0] += 1
        return WHOLE[0]

    return SimpleNamespace(
        fit=fit, want=want, done=done, model=model, rows=rows, settings=settings, dev=dev, tiny=tiny
    )


def result(fitted):
    """Return what must be equal: the adapter's bytes and the trace without times."""
    trace = {key: value for key, value in fitted.trace.items() if key not in TIMES}
    return (fitted.adapter / "adapter_model.safetensors").read_bytes(), trace


def interrupted(kit, folder, **how):
    with pytest.raises((Lost, signals.StopRequested)):
        kit.fit(folder, **how)
    assert not (folder / "adapter").exists()
    return kit.done.steps


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_n10_a_run_stopped_after_any_step_goes_on_to_the_same_bits(kit, tmp_path, every):
    want = kit.want(tmp_path)
    assert want[1]["chosen"] < EPOCHS  # what was kept lies behind most interruptions
    for k in range(1, STEPS + 1, every):  # epochs have five steps: an eighth meets every place
        folder = tmp_path / str(k)
        assert interrupted(kit, folder, stop=k) == k
        before = list(kit.done.scored)
        assert result(kit.fit(folder)) == want, f"interrupted after step {k}"
        assert kit.done.steps == STEPS - k, "a step was taken twice"
        assert len(before + kit.done.scored) == EPOCHS, "an epoch was scored twice"
        assert sorted(p.name for p in folder.iterdir()) == ["adapter"]


@pytest.mark.parametrize("k", [3, 5, 6, 23, 39])
def test_n10_a_run_that_died_goes_on_from_the_last_checkpoint(kit, tmp_path, monkeypatch, k):
    from tuneworthy.models.train import checkpoint

    want = kit.want(tmp_path)
    interrupted(kit, tmp_path / "a", die=k)
    assert result(kit.fit(tmp_path / "a")) == want
    edge = (k - 1) // 5 * 5  # the loss of step k was said before its epoch was over
    assert kit.done.steps == STEPS - edge

    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0)
    monkeypatch.setattr(checkpoint, "TIME_SHARE", float("inf"))  # now before every step
    interrupted(kit, tmp_path / "b", die=k)
    assert result(kit.fit(tmp_path / "b")) == want
    assert kit.done.steps == STEPS - (k - 1)


def test_n10_a_run_interrupted_again_and_again_ends_the_same(kit, tmp_path):
    want = kit.want(tmp_path)
    for _ in range(STEPS // 7):
        assert interrupted(kit, tmp_path / "a", stop=7) == 7
    assert result(kit.fit(tmp_path / "a")) == want


def test_a_run_that_stops_early_does_so_after_an_interruption_too(kit, tmp_path):
    patient = {"settings": kit.settings.model_copy(update={"patience": 1})}
    want = result(kit.fit(tmp_path / "whole", **patient))
    last = kit.done.steps
    assert want[1]["stopped_early"]
    assert last < STEPS
    for k in (3, last - 1, last):
        interrupted(kit, tmp_path / str(k), stop=k, **patient)
        assert result(kit.fit(tmp_path / str(k), **patient)) == want
        assert kit.done.steps == last - k


@pytest.mark.parametrize("fault", ["none", "weights", "moments", "count", "order", "by_row"])
def test_n10_what_is_not_put_back_is_seen(kit, tmp_path, monkeypatch, fault):
    """The control: each part of the state by itself, and the order of the rows."""
    from tuneworthy.models.train import loop
    from tuneworthy.models.train.checkpoint import Run

    want = kit.want(tmp_path)
    interrupted(kit, tmp_path / "a", stop=13)
    restore_state, order = Run.restore_state, loop.order

    def faulty(run, tensors, rest):
        fresh = {name: weight.clone() for name, weight in run.tensors().items()}
        restore_state(run, tensors, rest)
        for name, weight in run.weights.items():
            if fault == "weights":
                weight.data.copy_(fresh[name])
            if fault == "moments":
                run.optimizer.state[weight]["exp_avg"].zero_()
            if fault == "count":
                run.optimizer.state[weight]["step"].zero_()
        if fault == "by_row":
            run.by_row[-1] = [0.0] * len(run.by_row[-1])

    monkeypatch.setattr(Run, "restore_state", faulty)
    if fault == "order":  # as a generator that starts anew would deal them
        monkeypatch.setattr(
            loop, "order", lambda count, seed, epoch: order(count, seed, max(0, epoch - 2))
        )
    assert (result(kit.fit(tmp_path / "a")) == want) is (fault == "none")


def test_p5_a_damaged_checkpoint_is_never_used_and_the_one_before_is(kit, tmp_path):
    want = kit.want(tmp_path)
    interrupted(kit, tmp_path / "a", stop=13)
    kept = tmp_path / "a" / "checkpoints"
    assert sorted(p.name for p in kept.iterdir()) == ["10", "13"]
    for number, (name, at) in enumerate(
        [
            (n, a)
            for n in ("state.safetensors", "run.json", "tuneworthy.json")
            for a in (9, -2, None)
        ]
    ):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "a", folder)
        path = folder / "checkpoints" / "13" / name
        if at is None:
            path.write_bytes(path.read_bytes()[:-3])
        else:
            flip(path, at)
        assert result(kit.fit(folder)) == want, (name, at)
        assert kit.done.steps == STEPS - 10
        assert "the checkpoint of step 13 is damaged or of another run: not used" in kit.done.said
    (kept / "10" / "run.json").unlink()
    (kept / "13" / "state.safetensors").write_bytes(b"")
    assert result(kit.fit(tmp_path / "a")) == want
    assert kit.done.steps == STEPS
    assert len(kit.done.scored) == EPOCHS - 2  # epochs 1 and 2 had been scored


def test_p5_a_checkpoint_whose_earlier_epochs_are_gone_is_not_used(kit, tmp_path):
    want = kit.want(tmp_path)
    interrupted(kit, tmp_path / "a", stop=13)
    flip(tmp_path / "a" / "epochs" / "2" / "adapter_model.safetensors")
    assert result(kit.fit(tmp_path / "a")) == want
    assert kit.done.steps == STEPS - 10  # the state at the end of epoch 2 makes it again
    interrupted(kit, tmp_path / "b", stop=13)
    flip(tmp_path / "b" / "epochs" / "1" / "adapter_model.safetensors")
    assert result(kit.fit(tmp_path / "b")) == want
    assert kit.done.steps == STEPS


@pytest.mark.parametrize("what", ["none", "seed", "rows", "dev", "settings", "model"])
def test_n10_the_checkpoint_of_another_run_is_not_used(kit, tmp_path, what):
    tiny, model, settings = kit.tiny, kit.model, kit.settings
    slower = settings.pace.model_copy(update={"rate": 1e-3})
    change = {
        "none": {},
        "seed": {"seed": 4},
        "rows": {"rows": [replace(kit.rows[0], answer="refund"), *kit.rows[1:]]},
        "dev": {"dev": [replace(kit.dev[0], answer="refund"), *kit.dev[1:]]},
        "settings": {"settings": settings.model_copy(update={"pace": slower})},
        "model": {
            "model": tiny.stand(tiny.model("llama", 2, num_hidden_layers=1), model.tokenizer)
        },
    }[what]
    want = result(kit.fit(tmp_path / "whole", **change))
    interrupted(kit, tmp_path / "a", stop=13)
    assert result(kit.fit(tmp_path / "a", **change)) == want
    fresh = what != "none"
    assert kit.done.steps == (STEPS if fresh else STEPS - 13)
    assert len(kit.done.scored) == (EPOCHS if fresh else EPOCHS - 2)
    assert any("not used" in text for text in kit.done.said) is fresh


@pytest.mark.parametrize("point", ["checkpoint.sync", "checkpoint.before", "checkpoint.after"])
@pytest.mark.parametrize("k", [1, 4])
def test_p13_a_disk_that_is_full_stops_the_run_which_goes_on_later(
    kit, tmp_path, monkeypatch, point, k
):
    want = kit.want(tmp_path)
    monkeypatch.setenv("TW_FAILPOINT", f"{point}:{k}:raise")
    with pytest.raises(StoreError, match="could not be written"):
        kit.fit(tmp_path / "a")
    monkeypatch.delenv("TW_FAILPOINT")
    assert result(kit.fit(tmp_path / "a")) == want


def test_a_checkpoint_is_written_when_it_is_due_and_no_oftener(tmp_path, monkeypatch):
    import torch

    from tuneworthy.models.train import checkpoint

    weight = torch.nn.Parameter(torch.ones(2))
    run = checkpoint.Run({"w": weight}, torch.optim.AdamW([weight]), by_row=[[0.0]])
    kept = checkpoint.Checkpoints(tmp_path, {"seed": 1})
    kept.restore(run, lambda step: True)
    written = []
    for _ in range(200):
        kept.save_if_due(run, due=False)
        written = sorted({*written, *(int(p.name) for p in tmp_path.iterdir())})
        weight.sum().backward()
        run.optimizer.step()
        run.steps.append({"loss": 0.5})
        run.seconds += 1.0
    assert written == [30, 60, 90, 120, 150, 180]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["150", "180"]

    ticks = iter(range(0, 10**6, 2))  # a slow disk: two seconds a checkpoint
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: float(next(ticks)))
    kept.save_if_due(run, due=True)
    run.steps.append({"loss": 0.5})
    for seconds, due in ((199.0, False), (201.0, True)):
        run.seconds = 200.0 + seconds
        kept.save_if_due(run, due=False)
        assert (tmp_path / "201").exists() is due


def test_a_checkpoint_that_can_not_be_written_leaves_the_older_ones(tmp_path, monkeypatch):
    import torch

    from tuneworthy.models.train import checkpoint
    from tuneworthy.models.train.adapter import read_sealed

    weight = torch.nn.Parameter(torch.ones(2))
    run = checkpoint.Run({"w": weight}, torch.optim.AdamW([weight]), by_row=[[0.0]])
    kept = checkpoint.Checkpoints(tmp_path, {"seed": 1})
    kept.restore(run, lambda step: True)
    for number in range(3):
        weight.sum().backward()
        run.optimizer.step()
        run.steps.append({"loss": 0.5})
        if number == 2:
            monkeypatch.setenv("TW_FAILPOINT", "checkpoint.sync:1:raise")
            with pytest.raises(OSError, match="space"):
                kept.save_if_due(run, due=True)
        else:
            kept.save_if_due(run, due=True)
    for step in (1, 2):
        assert read_sealed(tmp_path / str(step), checkpoint.TENSORS_FILE)


def test_the_state_is_read_back_bit_by_bit_and_nothing_else(tmp_path):
    import torch

    from tuneworthy.models.train import checkpoint

    def fresh(seed):
        draw = torch.Generator().manual_seed(seed)
        weights = {n: torch.nn.Parameter(torch.randn(3, generator=draw)) for n in ("a", "b", "c")}
        return checkpoint.Run(weights, torch.optim.AdamW(list(weights.values()), lr=0.1))

    one, other = fresh(0), fresh(1)
    for run, count in ((one, 3), (other, 5)):
        for _ in range(count):
            (run.weights["a"].pow(3).sum() + run.weights["b"].sin().sum()).backward()
            run.optimizer.step()  # c never has a gradient
            run.steps.append({"loss": 0.1 + 0.2})
    one.by_row, one.seconds = [[1 / 3]], 2.5
    kept = checkpoint.Checkpoints(tmp_path, {"seed": 1})
    kept.save_if_due(one, due=True)
    assert not (tmp_path / "new").exists()
    checkpoint.Checkpoints(tmp_path, {"seed": 1}).restore(other, lambda step: True)
    before, after = one.tensors(), other.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (other.steps, other.by_row, other.seconds) == (one.steps, one.by_row, one.seconds)
    names = {p.name for p in (tmp_path / "3").iterdir()}
    assert names == {"state.safetensors", "run.json", "tuneworthy.json"}
    assert json.loads((tmp_path / "3" / "run.json").read_text())["seconds"] == 2.5

    third = fresh(2)
    weights = {name: weight.clone() for name, weight in third.weights.items()}
    checkpoint.Checkpoints(tmp_path, {"seed": 2}).restore(third, lambda step: True)
    assert all(torch.equal(weights[name], third.weights[name]) for name in weights)
    assert third.steps == []
