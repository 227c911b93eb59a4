"""Every figure of the folder says what answers are, and of each answer whether it is, or None."""

import pytest

from tuneworthy.explain.arm_figures import with_figures
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import Data, Output, Success, Task

FIGURES = sorted(catalogue("figures"))
LABELS = Output(type="label", labels=("yes", "no"))


def case(number=0, output="a short answer", **more):
    turn = (Message(role="user", content="why?"),)
    return Case(id=f"c{number}", messages=turn, output=output, **more)


def task(output):
    return Task(data=Data(file="rows.jsonl"), output=output)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("output", [Output(type="text"), LABELS, Output(type="number")])
@pytest.mark.parametrize("text", ["", "yes", "word " * 200])
@pytest.mark.parametrize("error", [None, "the server is down"])
def test_a_figure_is_true_false_or_not_known_of_any_answer(name, output, text, error):
    plugin = load("figures", name)
    found = plugin.holds(task(output), case(), Answer(case="c0", text=text, error=error))
    assert found in (True, False, None)
    assert found is None or error is None, "an answer that did not come back has no figure"
    assert plugin.SAYS.strip(".,; ") == plugin.SAYS != ""


def measured(texts, output, groups=None):
    cases = [case(i) for i in range(len(texts))]
    run = Run(
        spec=Spec(name="zero", arm="zero_shot", tool="prompt"),
        seed=0,
        fold=0,
        state="measured",
        answers=tuple(Answer(case=c.id, text=t) for c, t in zip(cases, texts, strict=True)),
        scores=(Score(value=1.0),) * len(cases),
    )
    matrix = Matrix.explaining(task(output), Split(k=1, parts=(), groups=groups or {}), [run])
    plain = {"name": "zero", "tool": "prompt", "role": "candidate", "simplicity": 0, "options": {}}
    (arm,) = with_figures(matrix, cases, [ArmResult(**plain, state="measured")])
    return arm.figures


def test_a_share_of_answers_has_the_bound_of_the_design_and_is_told_as_a_clause():
    texts = ["short", "far longer than what is right by any count of letters"] * 10
    figure = measured(texts, Output(type="text"))["long_answers"]
    assert (figure.mean, figure.n) == (0.5, 20)
    groups = {f"c{i}": f"g{i // 5}" for i in range(20)}
    grouped = measured(texts, Output(type="text"), groups)["long_answers"]
    flags = {f"c{i}": i % 2 for i in range(20)}
    assert grouped.low == Design(groups).mean(flags, 0.05).interval.low
    assert figure.text.startswith("50 % of 20 answers (")
    assert figure.text.endswith(" are more than twice as long as the longest right one")


VALIDITY = Task(data=Data(file="rows.jsonl"), output=Output(type="json"),
                success=Success(metric="valid"))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "repeats", "found"),
    [
        ("no_json", "{}", (), False),
        ("no_json", "{", (), True),
        ("unstable", "{}", (), None),
        ("unstable", "{}", ("{}", "{}"), False),
        ("unstable", "{}", ("{}", "{ }"), True),
    ],
)
def test_a_validity_study_tells_what_parses_and_what_changes(name, text, repeats, found):
    again = tuple(Answer(case="c0", text=other) for other in repeats)
    answer = Answer(case="c0", text=text, repeats=again)
    assert load("figures", name).holds(VALIDITY, case(), answer) is found
    assert load("figures", name).holds(task(Output(type="json")), case(), answer) is None


def test_what_can_not_be_said_of_any_answer_is_absent():
    assert "long_answers" not in measured(["yes"] * 20, LABELS)
