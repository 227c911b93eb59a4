"""Every arm keeps the contract: names, one answer a query, the same text for one seed."""

import inspect

import pytest
from tests import studies

from tuneworthy.metrics import scorer
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import arm as contract
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import builds_on_prompt
from tuneworthy.records.task import TOOLS, Data, Output, Task
from tuneworthy.rows.docs import Doc

ARMS = sorted(catalogue("arms"))
LIGHT = [
    pytest.param(name, marks=[pytest.mark.full] if "vectors" in load("arms", name).NEEDS else ())
    for name in ARMS
    if "training" not in load("arms", name).NEEDS
]


def cases(n=44):
    return [
        Case(id=r["id"], messages=(Message(role="user", content=r["input"]),), output=r["output"])
        for r in studies.rows(n)
    ]


def setup(tmp_path, **more):
    task = Task(
        data=Data(file="rows.jsonl"),
        instruction="Which kind?",
        output=Output(type="label", labels=studies.LABELS, max_tokens=8),
        success={"metric": "accuracy"},
    )
    model = Scripted("scripted:test", lambda prompt, limits: prompt[-1].content.split()[0])
    rows = cases()
    parts = {"task": task, "train": rows[:20], "dev": rows[20:30], "models": {"base": model},
             "score": scorer(task), "folder": tmp_path, "recipe": Recipe(), **more}  # fmt: skip
    return Setup(**parts)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_declares_what_the_ladder_reads(name):
    arm = load("arms", name)
    assert arm.TOOL in (*TOOLS, "")
    assert arm.ROLE in {"candidate", "reference", "ceiling"}
    assert isinstance(arm.SIMPLICITY, int)
    assert arm.NEEDS <= contract.NEEDS
    arm.Options()
    if hasattr(arm, "placebo"):
        assert arm.placebo(arm.Options()) != arm.Options()
    if hasattr(arm, "estimate"):
        sizes = contract.Sizes(
            cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6
        )
        work = arm.estimate(sizes, arm.Options())
        more = arm.estimate(sizes.model_copy(update={"cases": 20}), arm.Options())
        assert (more.requests - work.requests) % 10 == 0, "as many requests for every case"
        assert all(0 <= one.requests <= one.at_most for one in work.asks)
        assert min(work.read, work.written, work.trained) >= 0


class Watched(tuple):
    """Dev rows that record whether they were read."""

    seen = False

    def _told(self, read):
        self.seen = True
        return read

    def __iter__(self):
        return self._told(super().__iter__())

    def __len__(self):
        return self._told(super().__len__())

    def __getitem__(self, at):
        return self._told(super().__getitem__(at))


@pytest.mark.parametrize("name", LIGHT)
def test_an_arm_that_learns_says_whether_it_chooses_on_dev_rows(name, tmp_path):
    """Else 40 rows in 100 are kept for a choice that nobody makes."""
    arm, dev = load("arms", name), Watched(cases()[20:30])
    try:
        fitted = arm.fit(setup(tmp_path, dev=dev), arm.Options(), 1)
    except DoesNotApply as reason:
        pytest.skip(str(reason))
    fitted.answer([case.query() for case in cases()[30:34]])
    assert isinstance(getattr(arm, "CHOOSES", True), bool)
    if not getattr(arm, "CHOOSES", True):
        assert not dev.seen, "what it never sees it can't choose on"
        assert fitted.recipe is None, "a prompt is chosen on dev before it is handed on"
    elif fitted.learned and fitted.recipe is None:
        assert dev.seen, "it chooses nothing: write CHOOSES = False"


@pytest.mark.parametrize("name", LIGHT)
def test_an_arm_that_chooses_its_prompt_says_so(name, tmp_path):
    """Else the prompts are missing in its key, and it stands on what was best for another arm."""
    arm = load("arms", name)
    prompts = Watched((Recipe(), Recipe(kind="nearest", k=2)))
    model = Scripted("scripted:shown", lambda prompt, limits: "refund" if prompt[2:] else "none")
    dev = [c.model_copy(update={"output": "refund", "context": "p"}) for c in cases()[20:30]]
    docs = (Doc(id="d", text="a parcel and a refund"),)
    more = {"prompts": prompts, "models": {"base": model, "bigger": model}, "docs": docs}
    try:
        fitted = arm.fit(setup(tmp_path, dev=dev, **more), arm.Options(), 1)
    except DoesNotApply as reason:
        pytest.skip(str(reason))
    assert prompts.seen is getattr(arm, "CHOOSES_PROMPT", False)
    if prompts.seen:
        assert getattr(arm, "CHOOSES", True), "its key must hold the metric"
        assert fitted.recipe == prompts[1]
        assert fitted.learned
        assert fitted.notes[-1].startswith("stands on nearest_shots")
        best = {**more, "prompts": (), "recipe": Recipe(kind="nearest", k=1)}
        apart = arm.fit(setup(tmp_path, **best), arm.Options(), 1)
        assert (apart.recipe.k, apart.learned) == (1, True), "without prompts: the best so far"


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_that_uses_the_best_prompt_says_so(name):
    """The schedule then measures the prompts in every fold of it."""
    arm = load("arms", name)
    source = inspect.getsource(arm)
    words = ("setup.recipe", "setup.prompts", "teacher_recipe", "arms._choice")
    searches = "budget" in arm.Options.model_fields  # on its first fold alone
    placebo = "options.shuffled" in source  # of a prompt, which gets that of its arm
    if any(word in source for word in words) and not searches and not placebo:
        assert builds_on_prompt(Spec(name=name, arm=name, simplicity=arm.SIMPLICITY))


@pytest.mark.parametrize("name", LIGHT)
def test_an_arm_answers_every_query_in_order_and_the_same_with_one_seed(name, tmp_path):
    arm = load("arms", name)
    queries = [case.query() for case in cases()[30:]]
    try:
        made = [arm.fit(setup(tmp_path), arm.Options(), 0) for _ in range(2)]
    except DoesNotApply as reason:
        pytest.skip(str(reason))
    texts = []
    for fitted in made:
        answers = fitted.answer(queries)
        assert [answer.case for answer in answers] == [query.id for query in queries]
        texts.append([answer.text for answer in answers])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", LIGHT)
def test_an_arm_that_learnt_nothing_says_so(name, tmp_path):
    """`learned` must be true where other training rows give other answers (width factor)."""
    arm = load("arms", name)
    other = [c.model_copy(update={"output": "refund"}) for c in cases()[:19]]
    other.append(cases()[19].model_copy(update={"output": "delivery"}))
    queries = [case.query() for case in cases()[30:]]
    try:
        one = arm.fit(setup(tmp_path), arm.Options(), 0)
        two = arm.fit(setup(tmp_path, train=other), arm.Options(), 0)
    except DoesNotApply as reason:
        pytest.skip(str(reason))
    prompts = [[(a.text, a.prompt) for a in fitted.answer(queries)] for fitted in (one, two)]
    assert one.learned or prompts[0] == prompts[1]


def test_the_placebo_of_examples_keeps_inputs_and_breaks_their_answers(tmp_path):
    arm = load("arms", "few_shot")
    query = [cases()[30].query()]
    real, fake = (
        arm.fit(setup(tmp_path), options, 0).answer(query)[0].prompt
        for options in (arm.Options(), arm.placebo(arm.Options()))
    )
    asked = [[m.content for m in p if m.role == "user"] for p in (real, fake)]
    said = [[m.content for m in p if m.role == "assistant"] for p in (real, fake)]
    assert asked[0] == asked[1]
    assert said[0] != said[1]
    assert sorted(said[0]) == sorted(said[1])


def test_the_examples_best_on_dev_are_the_ones_shown(tmp_path):
    """A model that repeats the last example's answer: only the set that ends right scores."""
    arm = load("arms", "few_shot")
    model = Scripted("scripted:parrot", lambda prompt, limits: prompt[-2].content)
    dev = [c.model_copy(update={"output": "delivery"}) for c in cases()[20:32]]
    asked = cases()[33].query()

    def said(**options):
        parts = setup(tmp_path, dev=dev, models={"base": model})
        return arm.fit(parts, arm.Options(k=3, **options), 2).answer([asked])[0].text

    assert said(draws=1) != "delivery", "the varied set alone ends otherwise: choose another seed"
    assert said(draws=12) == "delivery"
    few = setup(tmp_path, dev=dev[:9], models={"base": model})
    assert arm.fit(few, arm.Options(k=3, draws=12), 2).answer([asked])[0].text == said(draws=1)
