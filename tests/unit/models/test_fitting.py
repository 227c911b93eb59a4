"""A batch that runs out of memory is halved, run again and remembered; faults are injected."""

import pytest
from models_kit import PROMPTS, WORDS, ask

from tuneworthy.records.errors import DoesNotFit
from tuneworthy.records.model import Limits

pytestmark = pytest.mark.full
SAID = {
    "cuda": "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8 GiB",
    "mps": "MPS backend out of memory (MPS allocated: 6.77 GB, max allowed: 9.07 GB)",
    "cpu": "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: not enough memory",
}


def error(kind):
    import torch

    return (torch.OutOfMemoryError if kind == "cuda" else RuntimeError)(SAID[kind])


@pytest.fixture
def short(monkeypatch, engines):
    """Make passes above a number of padded tokens fail; return a new engine and the passes."""
    from tuneworthy.models.hf import HF
    from tuneworthy.models.local import forward as _forward
    from tuneworthy.models.local import generate as _generate
    from tuneworthy.models.local import score as _score

    real, sizes = _forward.begin, []

    def start(most, kind="cuda", batch=None):
        def begin(net, rows, prefix, room):
            size = len(rows) * (max(map(len, rows)) + room)
            sizes.append((size, len(rows), size <= most))
            if size > most:
                raise error(kind)
            return real(net, rows, prefix, room)

        monkeypatch.setattr(_generate, "begin", begin)
        monkeypatch.setattr(_score, "begin", begin)
        old = engines["llama"]
        engine = HF(old.spec, old.module, old.tokenizer, old.fingerprint)
        engine.net.fit.rows = batch
        return engine, sizes

    return start


@pytest.mark.parametrize("kind", list(SAID))
def test_a_batch_is_halved_until_it_fits_and_the_size_is_remembered(short, engines, kind):
    truth = [reply.text for reply in engines["llama"].reply(PROMPTS, Limits(max_tokens=6))]
    engine, sizes = short(120, kind)
    found = engine.reply(PROMPTS, Limits(max_tokens=6))
    assert [reply.text for reply in found] == truth
    assert [fits for *_, fits in sizes].count(False) >= 2
    assert sum(rows for _, rows, fits in sizes if fits) == len(PROMPTS)
    assert engine.net.fit.tokens <= 120
    sizes.clear()
    again = engine.reply(PROMPTS, Limits(max_tokens=6))
    assert [reply.text for reply in again] == truth
    assert all(fits for *_, fits in sizes), "what fits is known: nothing fails a second time"


def test_a_sampled_answer_is_the_same_however_a_batch_is_cut(short, engines):
    how = Limits(max_tokens=6, temperature=1.0, seed=3)
    truth = [reply.text for reply in engines["llama"].reply(PROMPTS, how)]
    engine, sizes = short(150)
    found = [reply.text for reply in engine.reply(PROMPTS, how)]
    assert not all(fits for *_, fits in sizes)
    assert sum(a == b for a, b in zip(found, truth, strict=True)) >= len(truth) - 1


def test_labels_are_scored_in_halves_too(short, engines):
    prompts, labels = ask(*(" ".join(WORDS[:k]) for k in range(1, 13))), [["late", "lost it"]] * 12
    truth = engines["llama"].logprobs(prompts, labels)
    engine, sizes = short(60)
    for mine, theirs in zip(engine.logprobs(prompts, labels), truth, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)
    assert not all(fits for *_, fits in sizes)


def test_one_row_that_does_not_fit_is_an_error_that_says_so(short):
    engine, _ = short(10)
    with pytest.raises(DoesNotFit, match="one row alone does not fit") as caught:
        engine.reply(PROMPTS, Limits(max_tokens=6))
    assert "out of memory" in caught.value.got
    assert caught.value.exit_code == 1


def test_another_error_is_raised_as_it_is(short, monkeypatch):
    from tuneworthy.models.local import generate as _generate

    engine, _ = short(10**9)

    def broken(*given):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(_generate, "begin", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        engine.reply(PROMPTS, Limits(max_tokens=6))


def test_a_batch_has_no_more_rows_than_the_task_says(short):
    engine, sizes = short(10**9, batch=3)
    engine.reply(PROMPTS, Limits(max_tokens=4))
    assert max(rows for _, rows, _ in sizes) == 3
    free, sizes = short(10**9)
    sizes.clear()
    free.reply(PROMPTS, Limits(max_tokens=4))
    assert max(rows for _, rows, _ in sizes) > 3  # the control
    assert (engine.full, free.full) == (3, 32)
