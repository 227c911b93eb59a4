"""New training options do not change the keys of results stored before."""

import pytest

from tuneworthy.arms import full, lora, prompt_lora, rag_lora
from tuneworthy.records.record import GrownRecord, canonical, digest
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Data, Output, Task

# As written by the version before the options existed, on 2026-11-28.
TRAINED = {
    "epochs": 3, "rank": 16, "alpha": 32.0, "rate": None, "batch": None, "targets": "all-linear",
    "prompt": "short", "patience": None, "rows": None, "shuffled": False,
}  # fmt: skip
BEFORE = {
    lora: TRAINED,
    prompt_lora: TRAINED | {"k": 4},
    rag_lora: TRAINED | {"k": 2, "tokens": 600, "size": 1200, "dense": True},
}
NEW = {
    "replay": 0.02, "prompt_loss": 0.1, "dora": True, "rslora": True,
    "trainer": {"command": "train {options}", "adapter": "."},
}  # fmt: skip


@pytest.mark.parametrize("arm", BEFORE, ids=lambda arm: arm.__name__.rpartition(".")[2])
def test_options_at_their_defaults_have_the_digest_of_old_ones(arm):
    assert arm.Options().plain() == BEFORE[arm]
    assert digest(arm.Options()) == digest(BEFORE[arm])
    assert canonical(arm.Options(epochs=5)) == canonical(BEFORE[arm] | {"epochs": 5})
    assert arm.Options.model_validate(BEFORE[arm]) == arm.Options()
    for name, value in NEW.items():  # the control: an option that is set is in the key
        changed = arm.Options(**{name: value})
        assert changed.plain() == BEFORE[arm] | {name: value}
        assert digest(changed) != digest(arm.Options())
        assert arm.Options.model_validate(changed.plain()) == changed


def test_the_spec_of_a_task_s_arm_is_the_stored_one():
    task = Task(
        data=Data(file="rows.jsonl"),
        instruction="Which kind?",
        output=Output(type="label", labels=("a", "b")),
        success={"metric": "accuracy"},
        arms=["lora", {"lora": {"replay": 0.02}}, "full"],
    )
    found = {spec.name: spec for spec in specs(task)}
    old = Spec(
        name="lora", arm="lora", options=TRAINED, tool="tune", role="candidate", simplicity=10
    )
    assert digest(found["lora"]) == digest(old)
    assert found["lora(replay=0.02)"].options["replay"] == 0.02
    assert set(found["full"].options) == set(full.Options().plain())
    assert "rank" not in found["full"].options


@pytest.mark.full
def test_the_settings_in_an_adapter_s_manifest_are_the_old_ones():
    pytest.importorskip("peft")
    from tuneworthy.models.train.lora import LoraSettings

    assert set(LoraSettings().plain()) == {
        "rank", "alpha", "targets", "pace", "share", "checkpointing", "patience",
    }  # fmt: skip
    assert LoraSettings(dora=True).plain()["dora"] is True


def test_only_later_fields_are_left_out():
    class Grown(GrownRecord):
        LATER = frozenset({"new"})
        old: int = 1
        new: int = 2

    assert Grown().plain() == {"old": 1}
    assert Grown(new=3).plain() == {"old": 1, "new": 3}


@pytest.mark.parametrize(
    "options", [{"replay": 0.051}, {"replay": -0.01}, {"prompt_loss": 1.1}, {"prompt_loss": -1}]
)
def test_shares_and_weights_have_bounds(options):
    with pytest.raises(ValueError, match=r"less than or equal|greater than or equal"):
        lora.Options(**options)


def test_full_tuning_has_no_options_of_adapters():
    with pytest.raises(ValueError, match="rank"):
        full.Options(rank=4)
