"""The learning rate by model: the published rule, its upper limit, and the user's override."""

from types import SimpleNamespace

import pytest

from tuneworthy.models.train.schedule import MOST_LORA_RATE, rate_of


def config(family, hidden):
    inner = SimpleNamespace(model_type=family, hidden_size=hidden)
    return SimpleNamespace(get_text_config=lambda decoder: inner)


@pytest.mark.parametrize(
    ("family", "hidden", "rate"),
    [
        ("llama", 576, 1e-3),  # SmolLM2-135M: the rate that was measured for it
        ("llama", 960, 8.9e-4),
        ("llama", 2048, 4.9e-4),
        ("llama", 4096, 2.9e-4),
        ("llama", 8192, 1.7e-4),
        ("qwen3", 1024, 5.3e-4),
        ("qwen2", 3584, 4.8e-4),
        ("gemma3_text", 2560, 4.1e-4),
    ],
)
def test_the_rule_of_the_source(family, hidden, rate):
    found = rate_of(config(family, hidden))
    assert found.value == pytest.approx(rate)
    assert f"hidden size {hidden:,}" in found.why
    assert "LoRA Without Regret" in found.why
    assert ("not for gemma3_text" in found.why) == (family == "gemma3_text")


def test_a_large_model_is_not_trained_at_the_rate_of_a_small_one():
    small, large = (rate_of(config("llama", hidden)).value for hidden in (576, 4096))
    assert 3 < small / large < 10
    assert small == MOST_LORA_RATE == 1e-3


def test_an_option_of_the_user_wins():
    found = rate_of(config("llama", 4096), 7e-4)
    assert (found.value, found.why) == (7e-4, "set by the option `rate`")


@pytest.mark.parametrize(
    ("family", "hidden", "rate"),
    [
        ("llama", 576, 1e-4),
        ("llama", 2048, 4.9e-5),
        ("llama", 4096, 2.9e-5),
        ("qwen3", 1024, 5.3e-5),
    ],
)
def test_all_weights_are_trained_at_a_tenth_of_an_adapter_s_rate(family, hidden, rate):
    found = rate_of(config(family, hidden), full=True)
    assert found.value == pytest.approx(rate)
    assert found.value == pytest.approx(rate_of(config(family, hidden)).value / 10, rel=0.02)
    assert "for all weights" in found.why
    assert "for all weights" not in rate_of(config(family, hidden)).why
    assert rate_of(config(family, hidden), 7e-4, full=True).value == 7e-4
