"""prompt_distil: the same model, its long prompt in the weights."""

import pytest
from test_distil_arm import SMALL, exact, opened, scripted, task_of, unlabelled  # noqa: F401
from test_lora_arm import cases

from tuneworthy.arms import prompt_distil
from tuneworthy.records.arm import Recipe, Setup, Sizes
from tuneworthy.records.errors import DoesNotApply, NumericError
from tuneworthy.records.model import Reply
from tuneworthy.records.specs import specs

SHOTS = Recipe(kind="few", k=3, shots=("c0", "c1", "c2"))


def setup_of(model, folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"task": task_of(), "train": cases(24), "dev": [], "score": exact, "recipe": SHOTS,
             "unlabelled": unlabelled(60), **changes}  # fmt: skip
    return Setup(models={"tune": model}, folder=folder, **parts)


@pytest.fixture
def taught(opened, monkeypatch):  # noqa: F811
    """Return a tiny engine whose answers under the long prompt are scripted."""
    engine, asked = opened(), []

    def draws(prompts, limits, m):
        asked.extend(prompts)
        words = {"charged": "billing", "parcel": "delivery", "screen": "defect"}
        said = [next(v for k, v in words.items() if k in p[-1].content) for p in prompts]
        return [[Reply(text=text, tokens_in=9, tokens_out=2) for text in said] for _ in range(m)]

    monkeypatch.setattr(engine, "draws", draws, raising=False)
    return engine, asked


@pytest.mark.full
def test_the_long_prompt_teaches_and_the_short_one_is_asked(taught, tmp_path):
    engine, asked = taught
    fitted = prompt_distil.fit(setup_of(engine, tmp_path / "u"), prompt_distil.Options(**SMALL), 0)
    assert len(asked) == 84, "once each: the greedy answer"
    assert all(len(prompt) >= 6 for prompt in asked), "the teacher sees the examples"
    answer = fitted.answer([case.query() for case in cases(1, 90)])[0]
    assert len(answer.prompt) == 2, "the student does not"
    told = fitted.trace["distilled"]
    assert told["gold_rows"] == 0
    assert 0 < told["prompt_tokens"]["student"] < 0.7 * told["prompt_tokens"]["teacher"]
    assert told["agreement"]["of"] == 8
    kl = prompt_distil.Options(loss="kl", **SMALL)
    with pytest.raises(NumericError, match="times as long"):  # a random model never ends a turn
        prompt_distil.fit(setup_of(engine, tmp_path / "long"), kl, 0)
    unchecked = setup_of(engine, tmp_path / "kl", unlabelled=unlabelled(20))
    other = prompt_distil.fit(unchecked, kl, 0)
    files = [f.artefact / "adapter_model.safetensors" for f in (fitted, other)]
    assert files[0].read_bytes() != files[1].read_bytes()


@pytest.mark.full
def test_a_prompt_that_is_not_longer_has_nothing_to_save(taught, tmp_path):
    short = setup_of(taught[0], tmp_path, recipe=Recipe(kind="short"))
    with pytest.raises(DoesNotApply, match="no longer than the short one"):
        prompt_distil.fit(short, prompt_distil.Options(), 0)


def test_it_runs_where_it_is_named_and_needs_no_teacher(tmp_path):
    assert not any(spec.arm == "prompt_distil" for spec in specs(task_of(teacher="hf:x")))
    (spec,) = specs(task_of(arms=("prompt_distil",)))
    assert (spec.tool, spec.role) == ("distil", "candidate")
    with pytest.raises(DoesNotApply, match="cannot be trained here"):
        prompt_distil.fit(setup_of(scripted(), tmp_path), prompt_distil.Options(), 0)


def test_every_input_is_read_with_the_long_prompt():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    more = sizes.model_copy(update={"unlabelled": 30})
    few, many = (prompt_distil.estimate(each, prompt_distil.Options()) for each in (sizes, more))
    assert many.read - few.read == 30 * (20 + 4 * 40)
    assert many.written - few.written == 30 * 5
