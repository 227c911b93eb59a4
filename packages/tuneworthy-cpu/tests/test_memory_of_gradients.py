"""The memory that the product foresees for the written-out gradient is what it holds."""

import pytest
from tests.unit.models.train.test_training_memory import RANK, SHAPE, adapted, rows

pytestmark = pytest.mark.full


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shared", [0, 96])
def test_the_estimate_of_the_written_out_gradient_is_what_its_memory_holds(tiny, dtype, shared):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.memory_fit import estimate
    from tuneworthy.models.train.twin import LoraShape
    from tuneworthy_cpu.train import hand_gradient as by_hand

    net, _ = adapted(tiny.model("llama", dtype=dtype, **SHAPE), hand=True)
    batch, stack = rows(4, shared, own=40), net.trainer.stack
    stack.adapters.refresh()

    prompt = [by_hand._inputs(batch[:1], 0, len(batch[0].ids) - 1)[:, :shared]] if shared else []
    lengths = [len(row.ids) - 1 - shared for row in batch]
    tape = stack.step_of(lengths, [row.trained for row in batch], shared)
    stack.forward([*prompt, by_hand._inputs(batch, shared, tape.spans[-1].length)], tape)
    chunk, at = tape.memory.at
    held = sum(map(len, tape.memory.chunks[:chunk])) + at
    told = estimate(net, batch, LoraShape(rank=RANK), TrainingSchedule(batch=4))["activations"]
    assert told == pytest.approx(held, rel=0.1)
    fewer = estimate(net, batch[:3], LoraShape(rank=RANK), TrainingSchedule(batch=4))["activations"]
    assert fewer != pytest.approx(held, rel=0.1)  # the control
