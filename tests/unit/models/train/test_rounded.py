"""Merged and rounded weights: the values of each form, and a base that is not changed."""

import pytest

torch = pytest.importorskip("torch")

from tuneworthy.models.train.merge import merged_rounded, rounded  # noqa: E402
from tuneworthy.records.errors import TaskError  # noqa: E402


def test_int4_has_sixteen_steps_a_group_and_keeps_the_largest_weight():
    weight = torch.zeros(1, 40)
    weight[0, :4] = torch.tensor([7.0, -3.4, 0.4, 0.6])
    weight[0, 32] = -0.07  # another group has a scale of its own
    found = rounded(weight, "int4")
    assert found.shape == weight.shape
    assert found[0, :4].tolist() == [7.0, -3.0, 0.0, 1.0]
    assert found[0, 32].item() == pytest.approx(-0.07)
    assert found[0, 4:32].abs().sum() == 0
    drawn = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    steps = rounded(drawn, "int4").view(8, 2, 32)
    assert max(len(group.unique()) for row in steps for group in row) <= 16
    scale = drawn.view(8, 2, 32).abs().amax(-1, keepdim=True) / 7
    assert ((steps - drawn.view(8, 2, 32)).abs() <= scale / 2 + 1e-6).all()


def test_bfloat16_keeps_eight_bits_of_the_significand():
    weight = torch.tensor([[1.0, 1 + 2**-7, 1 + 2**-9]])
    assert rounded(weight, "bfloat16").tolist() == [[1.0, 1 + 2**-7, 1.0]]


@pytest.fixture
def tuned(engine, tmp_path):
    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    peft = lora_twin(engine.module, LoraShape(rank=4, alpha=8), 0)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    base = {"spec": engine.spec, "weights": engine.fingerprint["weights"]}
    save_adapter(peft, tmp_path / "a", {"base": base})
    return engine.with_adapter(tmp_path / "a")


@pytest.mark.full
@pytest.mark.parametrize(("form", "near"), [("bfloat16", 0.05), ("int4", 1.0)])
def test_merged_weights_answer_like_the_adapter_up_to_rounding(engine, tuned, form, near):
    ids = torch.tensor([[5, 9, 33, 70, 8]])
    merged = merged_rounded(tuned, form)
    with torch.no_grad():
        plain = engine.module(input_ids=ids).logits
        with tuned.adapter.applied(engine.module):
            adapted = engine.module(input_ids=ids).logits
        ours = merged.module(input_ids=ids).logits
        after = engine.module(input_ids=ids).logits
    assert torch.equal(plain, after)
    error = ((ours - adapted).std() / adapted.std()).item()
    assert 0 < error < near
    assert not torch.allclose(plain, adapted)
    assert merged.adapter is None
    assert merged.fingerprint["merged"] == form
    assert merged.fingerprint != tuned.fingerprint


@pytest.mark.full
def test_an_unknown_form_is_refused_with_the_known_ones(tuned):
    with pytest.raises(TaskError, match="no merged form") as caught:
        merged_rounded(tuned, "int3")
    assert "int4" in caught.value.fix
