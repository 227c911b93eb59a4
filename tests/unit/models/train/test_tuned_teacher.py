"""A teacher that is a base with an adapter scores with its adapter, in both losses that read it."""

import pytest

pytest.importorskip("peft")


@pytest.fixture
def tuned(engine, tmp_path):
    """Return the teacher (the engine with random adapter weights) and PEFT's own model of it."""
    import torch

    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    peft = lora_twin(engine.module, LoraShape(rank=4, alpha=8), 0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2, generator=draw)
    save_adapter(peft, tmp_path / "a", {"base": {"spec": engine.spec, **engine.fingerprint}})
    return engine.with_adapter(tmp_path / "a"), peft.base_model.model


def test_the_top_tokens_of_a_tuned_teacher_are_peft_s(engine, tuned, tiny):
    import torch

    from tuneworthy.models.train.loss import answer_logits, open_plain
    from tuneworthy.models.train.top_k_loss import self_divergence, teacher_tokens, top_tokens

    teacher, peft = tuned
    rows = tiny.rows(engine.tokenizer, 3)
    with torch.no_grad():
        right = [top_tokens(answer_logits(open_plain(peft), [row], None)) for row in rows]
    for found, true in zip(teacher_tokens(teacher, rows), right, strict=True):
        assert torch.allclose(found.logs, true.logs, atol=1e-3)
    base = teacher_tokens(engine, rows)
    assert not torch.allclose(base[0].logs, right[0].logs, atol=0.1), "the control: no adapter"
    assert self_divergence(teacher, rows) <= 1e-5


def test_on_policy_a_tuned_teacher_scores_with_its_adapter(engine, tuned, tiny):
    from tuneworthy.models.train.loss import open_plain
    from tuneworthy.models.train.on_policy import OnPolicySetup, _Inputs, _OnPolicyRun

    teacher, peft = tuned
    rows = tiny.rows(engine.tokenizer, 3)

    def apart(student):
        run = _OnPolicyRun(OnPolicySetup(engine, teacher, [], 8), None, 0, None,
                           open_plain(student), _Inputs())  # fmt: skip
        return float(run._divergence(rows, rows).detach().mean())

    assert apart(peft) == pytest.approx(0, abs=1e-4), "a student that equals its teacher"
    assert apart(engine.module) > 0.1, "the control: the student without the adapter"
