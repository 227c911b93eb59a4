"""An arm's pack, opened without its training rows, answers as the fitted arm does."""

import json
from dataclasses import replace

import pytest
from tests import studies
from tests.contract.test_arms import cases, setup
from tests.tiny import tiny_llama

from tuneworthy.arms._pack import open_pack
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.artefact import Pack
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import TOOLS
from tuneworthy.rows.docs import Doc

DEPLOYED = [
    name
    for name in sorted(catalogue("arms"))
    if load("arms", name).ROLE == "candidate"
    and load("arms", name).TOOL in TOOLS
    and load("arms", name).TOOL != "keep"
    and name != "answers"
]
LIGHT = [name for name in DEPLOYED if "training" not in load("arms", name).NEEDS]
DOCS = tuple(
    Doc(id=f"d{n}", title=label, text=f"A {label} takes {n} days. {studies.WORDS[label][0]}.")
    for n, label in enumerate(studies.LABELS)
)
RANK = {"rank": 4}
SHAPE = {"full": {}, "distil": {"rank": 4, "samples": 1}}
ROUND_TRIPS = {
    "few_shot": ({"k": 3},),
    "nearest_shots": ({"k": 2},),
    "constrained": ({}, {"draft": True}),
    "rag": ({}, {"k": 2}),
}


def speaking(prompt, limits):
    """Say something that every part of the prompt and of the limits can change."""
    told = [message.content for message in prompt]
    seen = json.dumps([told, limits.plain()], sort_keys=True)
    labels = [*studies.LABELS, "I do not know"]
    return labels[sum(map(ord, seen)) % len(labels)]


def fresh(made: Setup, pack: Pack, folder) -> Setup:
    """Return a Setup as `serve` has it: the task, the model and the documents, and no row."""
    models = {pack.role: Scripted("scripted:again", speaking)} if pack.role else {}
    return Setup(task=made.task, train=(), dev=(), models=models, score=made.score, folder=folder,
                 docs=made.docs)  # fmt: skip


def fitted(name, folder, **options):
    arm, model = load("arms", name), Scripted("scripted:again", speaking)
    made = setup(folder, docs=DOCS, models={"base": model, "bigger": model, "reflection": model})
    made = replace(made, prompts=(Recipe(), Recipe(kind="nearest", k=2)))
    try:
        return made, arm.fit(made, arm.Options(**options), 3)
    except DoesNotApply as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.full] if "vectors" in load("arms", name).NEEDS else ()
        )
        for name in LIGHT
    ],
)
def test_the_opened_pack_answers_as_the_arm(name, tmp_path):
    queries = [case.query() for case in cases()[30:]]
    for options in ROUND_TRIPS.get(name, ({},)):
        made, arm = fitted(name, tmp_path, **options)
        pack = Pack.model_validate(json.loads(arm.pack.model_dump_json()))
        opened = open_pack(fresh(made, pack, tmp_path), pack, arm.classifier)
        both = [function(queries) for function in (arm.answer, opened.answer)]
        one, two = ([(a.case, a.text, a.prompt, a.passages, a.samples, a.labels) for a in answers]
                    for answers in both)  # fmt: skip
        assert one == two
        if opened.prompts and not pack.draft:
            told = zip(opened.prompts(queries), [answer[2] for answer in two], strict=True)
            unsent = {()} if pack.first else set()  # where its first part answered
            assert all(sent in {tuple(prompt)} | unsent for prompt, sent in told)


@pytest.mark.parametrize("name", ["nearest_shots", "few_shot", "rag"])
def test_a_pack_that_lacks_a_part_answers_otherwise(name, tmp_path):
    """The control: the comparison above sees an example or a passage that got lost."""
    queries = [case.query() for case in cases()[30:]]
    made, arm = fitted(name, tmp_path, **ROUND_TRIPS[name][0])
    lost = arm.pack.model_copy(update={"examples": (), "recipe": Recipe(), "passages": None})
    opened = open_pack(fresh(made, lost, tmp_path), lost)
    assert [a.prompt for a in opened.answer(queries)] != [a.prompt for a in arm.answer(queries)]


def test_a_pack_holds_no_row_that_it_does_not_show(tmp_path):
    _, few = fitted("few_shot", tmp_path, k=3)
    assert len(few.pack.examples) == 3
    assert not fitted("zero_shot", tmp_path)[1].pack.examples
    assert len(fitted("nearest_shots", tmp_path, k=2)[1].pack.examples) == 20


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in DEPLOYED if name not in LIGHT])
def test_the_pack_of_a_trained_arm_answers_as_the_arm(name, tmp_path, monkeypatch):
    from tuneworthy.models.hf import load as open_hf

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    engine = open_hf(tiny_llama(tmp_path / "model"), "hf:./model", "float32")
    teacher = Scripted("scripted:teacher", speaking)
    made = setup(tmp_path, docs=DOCS, models={"base": engine, "tune": engine, "teacher": teacher})
    free = [case.query().model_copy(update={"id": f"free {case.id}"}) for case in cases()[30:36]]
    made = replace(made, recipe=Recipe(kind="nearest", k=1), unlabelled=free)
    arm = load("arms", name)
    try:
        learnt = arm.fit(
            made, arm.Options(**{"epochs": 3, "rate": 1e-2} | SHAPE.get(name, RANK)), 0
        )
    except DoesNotApply as reason:  # a random model ends no answer, so it teaches nothing
        assert name == "prompt_distil"
        pytest.skip(str(reason))
    pack = Pack.model_validate(json.loads(learnt.pack.model_dump_json()))
    assert (pack.adapter, pack.weights) == (name != "full", name == "full")
    assert pack.role == "tune"
    queries = [case.query() for case in cases()[40:]]
    same = replace(fresh(made, pack, tmp_path), models={"tune": learnt.model})
    texts = [[(a.text, a.prompt, a.passages) for a in function(queries)]
             for function in (learnt.answer, open_pack(same, pack).answer)]  # fmt: skip
    assert texts[0] == texts[1]
    bare = replace(same, models={"tune": engine})
    assert [a.text for a in open_pack(bare, pack).answer(queries)] != [t[0] for t in texts[1]]
