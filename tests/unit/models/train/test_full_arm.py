"""The arm `full` on a real engine: tuned weights answer, and harm checks and changes use them."""

import pytest
from test_lora_arm import cases, exact, setup_of

from tuneworthy.arms import _trained, full, lora
from tuneworthy.records.arm import Sizes

pytestmark = pytest.mark.full
OPTIONS = full.Options(epochs=2, rate=2e-3)


def test_the_arm_trains_answers_and_is_loaded_the_second_time(engine, tmp_path, monkeypatch):
    said = []
    setup = setup_of(engine, tmp_path / "u", cases(24), cases(6, 60), say=said.append)
    fitted = full.fit(setup, OPTIONS, 0)
    queries = [case.query() for case in cases(5, 90)]
    answers = fitted.answer(queries)
    assert [a.case for a in answers] == [q.id for q in queries]
    assert fitted.learned
    assert fitted.artefact == tmp_path / "u" / "weights"
    assert fitted.model.fingerprint["tuned_from"] == engine.fingerprint["weights"]
    assert fitted.model.fingerprint["weights"] != engine.fingerprint["weights"]
    assert [n for n in fitted.notes if "MB in .tuneworthy" in n]
    assert said[0] == "learning rate 0.002: set by the option `rate`"
    assert fitted.trace["dev"] is not None
    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)  # it would crash if it trained
    again = full.fit(setup, OPTIONS, 0)
    assert [a.text for a in again.answer(queries)] == [a.text for a in answers]
    assert again.model.fingerprint == fitted.model.fingerprint


def test_it_learns_and_its_placebo_learns_other_answers(engine, tmp_path):
    options = full.Options(epochs=12, rate=5e-3)
    scores = {}
    for name, chosen in (("real", options), ("placebo", full.placebo(options))):
        fitted = full.fit(setup_of(engine, tmp_path / name, cases(24), []), chosen, 0)
        answers = fitted.answer([case.query() for case in cases(24)])
        pairs = zip(cases(24), answers, strict=True)
        scores[name] = sum(exact(c, a).value for c, a in pairs) / 24
    assert scores["real"] > 0.9 > scores["placebo"]


def test_its_work_is_that_of_its_rows_and_replayed_ones_cost(tmp_path):
    sizes = Sizes(cases=10, train=950, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    plain, more = (full.estimate(sizes, full.Options(replay=share)) for share in (0, 0.05))
    assert more.trained == pytest.approx(plain.trained / 0.95, rel=0.01)
    assert full.pilot(full.Options()).rows == 100
    assert _trained.training_settings(full.Options(prompt_loss=0.2), 100, 1e-4).prompt_loss == 0.2


def test_rslora_costs_what_lora_costs():
    sizes = Sizes(cases=10, train=950, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    plain = lora.estimate(sizes, lora.Options())
    assert lora.estimate(sizes, lora.Options(rslora=True)) == plain


def test_what_training_changed_is_read_for_all_weights(engine, tmp_path):
    import math

    import torch

    from tuneworthy.models.train.changes import (
        compare_models,
        effective_rank,
        representation_shifts,
        sample_passages,
        weight_changes,
    )
    from tuneworthy.records.case import Message

    tuned = full.fit(setup_of(engine, tmp_path / "u", cases(24), []), OPTIONS, 0).model
    told = weight_changes(engine, tuned)
    old, new = (dict(m.module.named_parameters()) for m in (engine, tuned))
    inside = [n for n in old if ".layers.1." in n]
    change = sum(float((new[n].double() - old[n].double()).square().sum()) for n in inside)
    weight = sum(float(old[n].double().square().sum()) for n in inside)
    assert told["1"]["ratio"] == pytest.approx(math.sqrt(change / weight), rel=1e-6)
    ranks = [effective_rank(torch.linalg.svdvals(new[n].double() - old[n].double()).tolist())
             for n in inside if old[n].ndim == 2]  # fmt: skip
    assert told["1"]["effective_rank"] == pytest.approx(sum(ranks) / len(ranks), rel=1e-4)
    assert told["1"]["rank"] == 32
    assert told["model.embed_tokens.weight"]["ratio"] > 0
    assert told["model.norm.weight"]["effective_rank"] is None

    chats = [(Message(role="user", content=f"Tell me about {w}"),) for w in ("foxes", "dogs")]
    rows = sample_passages(engine, chats, 8, 3)
    for row, found in zip(rows, compare_models(engine, tuned, rows), strict=True):
        ids, first = torch.tensor([row["ids"]]), row["first"]
        with torch.no_grad():
            own, other = (torch.log_softmax(m.module(input_ids=ids).logits[0].double(), -1)
                          for m in (engine, tuned))  # fmt: skip
        span = range(first, len(row["ids"]))
        apart = sum((other[k - 1].exp() * (other[k - 1] - own[k - 1])).sum().item() for k in span)
        after = -sum(other[k - 1, row["ids"][k]].item() for k in span)
        assert found[2:] == pytest.approx([after, apart], rel=1e-3, abs=1e-4)
        assert apart > 1e-3
    assert all(shift > 0 for shift in representation_shifts(engine, tuned, rows))


def test_weights_that_did_not_move_give_exactly_nothing(engine, tmp_path):
    from test_full import saved

    from tuneworthy.models.train.changes import (
        compare_models,
        representation_shifts,
        sample_passages,
        weight_changes,
    )
    from tuneworthy.records.case import Message

    idle = engine.with_adapter(saved(engine, tmp_path / "same"), idle=True)
    rows = sample_passages(engine, [(Message(role="user", content="Tell me about foxes"),)], 8, 3)
    for tokens, before, after, apart in compare_models(engine, idle, rows):
        assert tokens > 0
        assert before == after > 0
        assert apart == 0
    assert set(representation_shifts(engine, idle, rows)) == {0.0}
    assert weight_changes(engine, idle)["all"]["ratio"] == 0.0
    assert weight_changes(engine, idle)["all"]["effective_rank"] is None
