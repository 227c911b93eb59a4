"""Every question: yes, no and not measured on evidence built in code; pure; never raises."""

from pathlib import Path

import pytest
from question_scenes import BESIDE, EMPTY, SCENES, TASK

from tuneworthy.explain.questions import CHECKLIST, ORDER, ask_all, in_order
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.verdict import Finding

QUESTIONS = sorted(catalogue("questions"))
DOCS = Path(__file__).parents[2] / "docs" / "why"
CASES = [(q, a, i) for q in QUESTIONS for a in SCENES.get(q, {}) for i in range(len(SCENES[q][a]))]


def asked(name, evidence):
    found = load("questions", name).ask(evidence, TASK)
    assert isinstance(found, Finding)
    assert found.name == name
    assert found.because
    return found


def test_every_question_has_scenes_and_nine_are_shipped():
    assert set(QUESTIONS) == set(SCENES) == set(BESIDE) == set(ORDER)
    assert in_order() == ORDER
    assert len(ORDER) == 9
    assert all(set(answers) == {"yes", "no", "not_measured"} for answers in SCENES.values())


@pytest.mark.parametrize(("name", "answer", "number"), CASES)
def test_yes_no_and_not_measured(name, answer, number):
    found = asked(name, SCENES[name][answer][number])
    assert found.answer == answer, found.because
    if answer == "not_measured":
        assert found.because.startswith(("not measured (", "too small", "at the ")) or (
            "not measured (" in found.because
        )
    if answer in ("not_measured", getattr(load("questions", name), "AGAINST", "no")):
        assert found.next, "says what to do"
    assert "\n" not in found.because
    assert not found.because.endswith(".")


@pytest.mark.parametrize(
    ("name", "number"), [(q, i) for q in QUESTIONS for i in range(len(BESIDE.get(q, ())))]
)
def test_a_bound_on_the_other_side_of_the_threshold_shows_nothing(name, number):
    found = asked(name, BESIDE[name][number])
    assert found.answer == "not_measured", found.because
    assert found.value is not None or "not measured (" in found.because
    assert found.next


@pytest.mark.parametrize("name", QUESTIONS)
def test_pure_and_quiet_on_nothing(name):
    module = load("questions", name)
    for scenes in SCENES[name].values():
        for evidence in scenes:
            again = Evidence.model_validate(evidence.plain())
            assert module.ask(evidence, TASK) == module.ask(again, TASK)
    empty = asked(name, EMPTY)
    assert (empty.answer, empty.value) == ("not_measured", None)
    assert empty.next
    assert empty.prior == module.PRIOR


@pytest.mark.parametrize("name", QUESTIONS)
def test_says_what_it_asks_and_why(name):
    module = load("questions", name)
    assert module.QUESTION.endswith("?")
    assert module.UNIT in {"rows", "points", "share", "days", "chance"}
    if name in CHECKLIST:
        assert module.WRONG.endswith(".")
    page = (DOCS / f"{name}.md").read_text("utf-8")
    assert page.startswith("# ")
    assert 15 <= len(page.splitlines()) <= 45
    assert module.PRIOR is None or "prior" in page.lower()


def test_a_prior_is_read_by_no_rule(monkeypatch):
    for name in QUESTIONS:
        module = load("questions", name)
        before = [module.ask(e, TASK).answer for scenes in SCENES[name].values() for e in scenes]
        monkeypatch.setattr(module, "PRIOR", "7 examples")
        after = [module.ask(e, TASK).answer for scenes in SCENES[name].values() for e in scenes]
        assert before == after


def test_arms_are_known_by_tool_and_role_alone():
    """The same evidence under other names of arms gives the same answers and numbers."""
    swap = {"lora": "a", "prompt": "b", "large": "c", "bigger": "d"}

    def renamed(value):
        if isinstance(value, dict):
            return {
                swap.get(k, k) if k == "lora" else k: swap.get(v, v)
                if k in ("name", "arm", "versus") and isinstance(v, str)
                else renamed(v)
                for k, v in value.items()
            }
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    for scenes in SCENES.values():
        for evidence in (e for many in scenes.values() for e in many):
            other = Evidence.model_validate(renamed(evidence.plain()))
            pairs = zip(ask_all(evidence, TASK), ask_all(other, TASK), strict=True)
            assert all((a.answer, a.value) == (b.answer, b.value) for a, b in pairs)
