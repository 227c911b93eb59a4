"""Measured changes of training: exact on tiny models, 0 where an adapter changes nothing."""

import math
import shutil

import pytest

from tuneworthy.records.case import Message

pytestmark = pytest.mark.full
pytest.importorskip("torch")
CHATS = [(Message(role="user", content=f"Tell me about {word}"),) for word in ["foxes", "dogs"]]


@pytest.fixture
def adapted(engine, tmp_path):
    """Return a function that adds an adapter whose B has a standard deviation."""
    import torch

    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    def make(std, rank=4):
        peft = lora_twin(engine.module, LoraShape(rank=rank, alpha=2.0 * rank), 0)
        with torch.no_grad():
            for name, weight in peft.named_parameters():
                if "lora_B" in name and std:
                    weight.normal_(std=std, generator=torch.Generator().manual_seed(1))
        folder = tmp_path / f"adapter-{std}-{rank}"
        shutil.rmtree(folder, ignore_errors=True)
        save_adapter(
            peft, folder, {"base": {"spec": engine.spec, "weights": engine.fingerprint["weights"]}}
        )
        return engine.with_adapter(folder, idle=True)

    return make


def test_passages_are_the_base_s_own_and_the_same_for_one_seed(engine):
    from tuneworthy.models.train.changes import sample_passages

    made = sample_passages(engine, [*CHATS, "The quick brown"], 8, 3)
    assert made == sample_passages(engine, [*CHATS, "The quick brown"], 8, 3)
    assert made != sample_passages(engine, [*CHATS, "The quick brown"], 8, 4)
    assert all(0 < len(row["ids"]) - row["first"] <= 8 for row in made)
    assert engine.tokenizer.decode(made[2]["ids"][: made[2]["first"]]) == "The quick brown"


def test_an_adapter_that_changes_nothing_gives_exactly_nothing(engine, adapted):
    from tuneworthy.models.train.changes import (
        compare_models,
        representation_shifts,
        sample_passages,
        weight_changes,
    )

    rows = sample_passages(engine, [*CHATS, "The quick brown"], 8, 3)
    idle = adapted(0.0)
    for tokens, before, after, apart in compare_models(engine, idle, rows):
        assert tokens > 0
        assert before == after > 0
        assert apart == 0
    assert set(representation_shifts(engine, idle, rows)) == {0.0}
    told = weight_changes(engine, idle)
    assert told["all"] == {"ratio": 0.0, "rank": 4, "effective_rank": None}


def test_losses_and_divergence_are_those_of_the_models_themselves(engine, adapted):
    import torch

    from tuneworthy.models.train.changes import compare_models, sample_passages

    tuned = adapted(0.2)
    rows = sample_passages(engine, [*CHATS, "The quick brown"], 8, 3)
    for row, found in zip(rows, compare_models(engine, tuned, rows), strict=True):
        ids, first = torch.tensor([row["ids"]]), row["first"]
        with torch.no_grad():
            own = torch.log_softmax(engine.module(input_ids=ids).logits[0].double(), -1)
            with tuned.adapter.applied(engine.module):
                new = torch.log_softmax(engine.module(input_ids=ids).logits[0].double(), -1)
        span = range(first, len(row["ids"]))
        before = -sum(own[k - 1, row["ids"][k]].item() for k in span)
        after = -sum(new[k - 1, row["ids"][k]].item() for k in span)
        apart = sum((new[k - 1].exp() * (new[k - 1] - own[k - 1])).sum().item() for k in span)
        assert found == pytest.approx([len(span), before, after, apart], rel=1e-4, abs=1e-4)
        assert apart > 0.01


def test_the_size_and_rank_of_a_change_are_those_of_the_whole_matrix(engine, adapted):
    import torch

    from tuneworthy.models.train.changes import effective_rank, weight_changes

    tuned = adapted(0.2)
    told = weight_changes(engine, tuned)
    modules = dict(tuned.module.named_modules())
    change = weight = 0.0
    ranks = []
    for name, (first, second, scale) in tuned.adapter.changes.items():
        if ".1." in name:
            whole = scale * second.double() @ first.double()
            change += float((whole**2).sum())
            weight += float((modules[name].weight.double() ** 2).sum())
            ranks.append(effective_rank(torch.linalg.svdvals(whole)[:4].tolist()))
    assert told["1"]["ratio"] == pytest.approx(math.sqrt(change / weight), rel=1e-4)
    assert told["1"]["effective_rank"] == pytest.approx(sum(ranks) / len(ranks), rel=1e-4)
    assert 1 < told["1"]["effective_rank"] <= 4
    assert set(told) == {"all", "0", "1", "2"}


def test_effective_rank_is_the_number_of_equal_directions():
    from tuneworthy.models.train.changes import effective_rank

    assert effective_rank([2.0, 2.0, 2.0]) == pytest.approx(3)
    assert effective_rank([5.0, 0.0]) == pytest.approx(1)
    assert effective_rank([0.0]) is None


def test_representations_move_more_under_a_larger_change(engine, adapted):
    from tuneworthy.models.train.changes import representation_shifts, sample_passages

    rows = sample_passages(engine, CHATS, 8, 3)
    small, large = (representation_shifts(engine, adapted(std), rows) for std in (0.02, 0.2))
    assert len(small) == 3
    assert all(0 < a < b for a, b in zip(small, large, strict=True))
    assert representation_shifts(engine, adapted(0.2), []) == []
