"""The rows of a student: held back, read on policy, and counted by the plan."""

import pytest
from test_distil_arm import right, scripted, setup_of, task_of, unlabelled
from test_lora_arm import cases

from tuneworthy.arms import _student_rows, distil
from tuneworthy.arms._trained import training_work
from tuneworthy.records.answer import Score
from tuneworthy.records.arm import Sizes
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError

PASSED = Score(value=1)


@pytest.mark.parametrize("gold", ["auto", "only_teacher"])
@pytest.mark.parametrize("rationale", [False, True])
def test_no_row_held_back_for_agreement_is_trained_on(tmp_path, gold, rationale):
    """For free text and for reasons the teacher answers labelled rows too, which are trained on."""

    def say(prompt, limits):
        return (
            f"It says so.\nAnswer: {right(prompt, limits)}" if rationale else right(prompt, limits)
        )

    setup = setup_of(None, tmp_path, scripted(say), task=task_of("text"), train=cases(60),
                     unlabelled=unlabelled(40))  # fmt: skip
    options = distil.Options(samples=1, gold=gold, rationale=rationale)
    teacher = setup.models["teacher"]
    written, rows = _student_rows.student_rows_from_teacher(setup, teacher, options)
    assert len(written.pairs) == 100
    assert len(rows.held) == (4 if gold == "auto" else 10)
    assert len(rows.pairs) + len(rows.held) == 100
    learnt = {row.messages for row in rows.training_rows(rationale)}
    assert not [pair for pair in rows.held if pair.query.messages in learnt]


def test_on_policy_a_prompt_without_room_for_an_answer_is_left_out(tiny):
    """Of the teacher too: its prompt holds the examples that the student learns to do without."""
    from types import SimpleNamespace

    from tuneworthy.models.train.on_policy import OnPolicySetup, PromptPair, _Inputs

    short, long = ((Message(role="user", content="parcel " * n),) for n in (1, 60))
    broken = (Message(role="system", content="a"), Message(role="user", content="b"))
    pairs = [PromptPair("ok", short, short), PromptPair("student", long, short),
             PromptPair("teacher", short, long), PromptPair("template", broken, short)]  # fmt: skip
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        "{% if messages[0]['content'][0] == 'a' %}{{ raise_exception('no') }}{% endif %}"
    )
    model = SimpleNamespace(tokenizer=tokenizer, context=80)
    found = _Inputs.of(OnPolicySetup(model, model, pairs, room=8))
    assert [pair.id for pair in found.used] == ["ok"]
    assert len(found.heads) == len(found.teacher_heads) == 1
    told = found.account()
    assert (told["given"], told["used"]) == (4, 1)
    assert sorted(map(tuple, told["excluded"].values())) == [
        ("student",), ("teacher",), ("template",)]  # fmt: skip
    with pytest.raises(ModelError, match="no row can be trained on"):
        _Inputs.of(OnPolicySetup(model, model, pairs[1:], room=8))


@pytest.mark.parametrize(
    "option", [{"patience": 2}, {"replay": 0.05}, {"prompt_loss": 0.1}, {"shuffled": True}]
)
def test_on_policy_refuses_options_that_it_would_not_heed(option):
    with pytest.raises(ValueError, match=f"leave {next(iter(option))} out"):
        distil.Options(loss="on_policy", **option)
    assert distil.Options(loss="text", **option)
    assert distil.Options(loss="on_policy", epochs=5, rank=4, dora=True)


def test_on_policy_no_more_rows_are_read_than_the_option_rows_says(tmp_path):
    setup = setup_of(None, tmp_path, unlabelled=unlabelled(18))
    for rows, read in ((5, 5), (None, 22)):
        options = distil.Options(loss="on_policy", samples=1, rows=rows)
        found = _student_rows.student_rows_from_teacher(setup, setup.models["teacher"], options)
        assert len(found[1].pairs) == read


@pytest.mark.parametrize(
    ("kind", "options"),
    [("label", {}), ("label", {"gold": "only_teacher"}), ("text", {}),
     ("label", {"rationale": True}), ("text", {"gold": "only_teacher"})],
)  # fmt: skip
def test_the_plan_counts_every_request_and_row_of_a_student(tmp_path, kind, options):
    """For free text and for reasons the teacher answers the labelled rows too."""
    sent = []

    def say(prompt, limits):
        sent.append(limits.max_tokens)
        said = right(prompt, limits) if kind == "label" else f"text {limits.sample}"
        return f"So it is.\nAnswer: {said}" if "rationale" in options else said

    parts = {"train": cases(20), "unlabelled": unlabelled(30), "score": lambda case, answer: PASSED}
    setup = setup_of(None, tmp_path, scripted(say), task=task_of(kind), **parts)
    chosen = distil.Options(teacher_prompt="zero", **options)
    _, rows = _student_rows.student_rows_from_teacher(setup, setup.models["teacher"], chosen)
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6,
                  unlabelled=30, free_text=kind == "text")  # fmt: skip
    (ask,) = (one for one in distil.estimate(sizes, chosen).asks if one.role == "teacher")
    assert ask.requests == len(sent)
    assert (ask.written or sizes.cap) == max(sent), "the longest answer that may be paid for"
    assert ask.most >= len(sent)
    learnt = rows.training_rows(chosen.rationale)
    held = len(rows.held) * (5 if kind == "text" else 2 if chosen.rationale else 1)
    planned = distil.estimate(sizes, chosen)
    every = sizes.model_copy(update={"train": len(learnt) + held})
    assert planned.trained == training_work(every, chosen).trained
