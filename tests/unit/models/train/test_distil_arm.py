"""distil: a student of a tiny engine learns what a scripted or a local teacher writes."""

import pytest
from test_lora_arm import cases, exact

from tuneworthy.arms import _distilled as checks
from tuneworthy.arms import _student_rows, distil
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe, Setup, Sizes
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import DoesNotApply, ModelError, NumericError
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Data, Output, Task

LABELS = ("billing", "delivery", "defect")
WORDS = {"charged": "billing", "parcel": "delivery", "screen": "defect"}
SMALL = {"epochs": 2, "rank": 4, "rate": 5e-3}


def right(prompt, limits):
    return next(label for word, label in WORDS.items() if word in prompt[-1].content)


def scripted(respond=right):
    return Scripted("scripted:teacher", respond)


def swapped(prompt, limits):
    return {"billing": "delivery", "delivery": "billing"}.get(right(prompt, limits), "defect")


def unlabelled(count, start=200):
    return [Query(id=f"u{c.id}", messages=c.messages) for c in cases(count, start)]


def task_of(kind="label", **more):
    output = Output(type="label", labels=LABELS, max_tokens=8)
    output = output if kind == "label" else Output(type="text", max_tokens=8)
    return Task(instruction="Name the topic of the message.", data=Data(file="rows.jsonl"),
                output=output, **more)  # fmt: skip


def setup_of(student, folder, teacher=None, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"task": task_of(), "train": cases(6), "dev": [], "score": exact, "folder": folder,
             "unlabelled": unlabelled(100), **changes}  # fmt: skip
    return Setup(models={"tune": student, "teacher": teacher or scripted()}, **parts)


@pytest.fixture
def opened(tiny, tmp_path, monkeypatch):
    """Return a tiny engine, made with a seed and opened from disk as a user's would be."""
    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))

    def make(seed=1, family="chatml", **changes):
        place = tmp_path / f"model-{seed}-{family}"
        tiny.model("llama", seed, eos_token_id=0, **changes).save_pretrained(place)
        tiny.tokenizer(family).save_pretrained(place)
        return load(place, f"hf:./{place.name}", "float32")

    return make


@pytest.mark.full
def test_the_student_learns_kept_pairs_beside_the_labelled_rows(opened, tmp_path, monkeypatch):
    setup = setup_of(opened(), tmp_path / "u")
    fitted = distil.fit(setup, distil.Options(**SMALL), 0)
    told = fitted.trace["distilled"]
    assert told["pairs"]["inputs"] == told["pairs"]["kept"] == 100
    assert (told["gold_rows"], told["teacher_rows"]) == (6, 90)
    assert told["agreement"]["of"] == 10
    assert 0 <= told["agreement"]["agree"] <= 10
    assert told["curve"] == [{"rows": 90, "agree": told["agreement"]["agree"], "of": 10}]
    assert fitted.trace["rows"]["used"] == 96
    assert fitted.learned
    assert fitted.artefact == tmp_path / "u" / "adapter"
    assert any("100 are kept" in note for note in fitted.notes)
    answers = fitted.answer([case.query() for case in cases(5, 90)])
    assert all("delivery" not in a.prompt[0].content for a in answers), "asked as it was trained"
    monkeypatch.setattr("tuneworthy.models.train.lora.train", None)  # it would crash if it trained
    again = distil.fit(setup, distil.Options(**SMALL), 0)
    assert again.trace == fitted.trace


@pytest.mark.full
def test_only_the_teachers_answers_where_that_is_asked(opened, tmp_path):
    wrong = scripted(lambda prompt, limits: "billing")
    setup = setup_of(opened(), tmp_path / "u", wrong, train=cases(12), unlabelled=unlabelled(9))
    options = distil.Options(gold="only_teacher", **SMALL)
    told = distil.fit(setup, options, 0).trace["distilled"]
    assert told["gold_rows"] == 0
    assert told["pairs"]["inputs"] == 21
    assert told["pairs"]["kept"] == 9 + 4, "of labelled rows only the right ones"
    assert told["agreement"] == {"agree": None, "of": 1}, "too few rows are held back"


def test_a_teacher_that_could_only_repeat_the_labels_is_not_paid(tmp_path):
    class Student:
        spec, module, ends = "hf:x", None, ()

    def never(prompt, limits):
        raise AssertionError("the teacher is not asked")

    setup = setup_of(Student(), tmp_path, scripted(never), unlabelled=())
    with pytest.raises(DoesNotApply, match="gold: only_teacher"):
        _student_rows.teacher_inputs(setup, distil.Options())
    assert len(_student_rows.teacher_inputs(setup, distil.Options(gold="only_teacher"))) == 6
    cut = _student_rows.teacher_inputs(setup_of(Student(), tmp_path), distil.Options(rows=7))
    assert len({source.query.id for source in cut}) == 7
    text = setup_of(Student(), tmp_path, unlabelled=(), task=task_of("text"))
    assert len(_student_rows.teacher_inputs(text, distil.Options())) == 6
    nothing = setup_of(Student(), tmp_path, scripted(lambda p, k: "no label"))
    pairs = _student_rows.write_pairs(nothing, nothing.models["teacher"],
                                   _student_rows.teacher_inputs(nothing, distil.Options()),
                                   distil.Options())  # fmt: skip
    with pytest.raises(DoesNotApply, match="100: the answer has not the form of the task"):
        _student_rows.make_student_rows(nothing, distil.Options(), pairs)


@pytest.mark.full
def test_kl_needs_a_local_teacher_with_the_same_tokens(opened, tmp_path):
    options = distil.Options(loss="kl", samples=1, agree=0.0, **SMALL)
    with pytest.raises(DoesNotApply, match="scripted:teacher is none"):
        distil.fit(setup_of(opened(), tmp_path / "a"), options, 0)

    class Local(Scripted):
        """A local teacher whose texts are scripted and whose distributions are its own."""

    engine = opened(2, hidden_size=64)
    teacher = Local("hf:teacher", right)
    teacher.__dict__ |= {k: getattr(engine, k) for k in ("module", "tokenizer", "ends", "context")}
    setup = setup_of(opened(), tmp_path / "b", teacher)
    fitted = distil.fit(setup, options, 0)
    text = distil.fit(setup_of(opened(), tmp_path / "c", teacher),
                      distil.Options(samples=1, **SMALL), 0)  # fmt: skip
    assert fitted.trace["gradient"] == "autograd"
    files = [f.artefact / "adapter_model.safetensors" for f in (fitted, text)]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert any("with 1 sample for" in note for note in fitted.notes), "few samples are warned of"


@pytest.mark.full
def test_on_policy_the_student_writes_and_the_teacher_scores(opened, tmp_path, monkeypatch):
    from tuneworthy.models.train import on_policy

    student, teacher = opened(), opened(2, hidden_size=64)
    setup = setup_of(student, tmp_path / "u", teacher, unlabelled=unlabelled(18))
    options = distil.Options(loss="on_policy", samples=1, **{**SMALL, "epochs": 4, "rate": 0.02})
    fitted = distil.fit(setup, options, 0)
    told = fitted.trace["distilled"]
    assert told["pairs"]["inputs"] == 2, "the teacher writes for rows held back only"
    assert fitted.trace["rows"]["used"] == 22
    epochs = fitted.trace["loss_by_row"]["epochs"]
    assert sum(epochs[-1]) < sum(epochs[0])
    assert fitted.trace["answer_tokens"] > 0
    assert fitted.pack.adapter, "`build` exports it"
    assert fitted.pack.recipe == fitted.recipe
    assert len(fitted.answer([case.query() for case in cases(2, 90)])) == 2
    monkeypatch.setattr(on_policy, "lora_twin", None)  # it would crash if it trained
    assert distil.fit(setup, options, 0).trace == fitted.trace


@pytest.mark.full
def test_p1_a_killed_on_policy_run_goes_on_to_the_same_bytes(opened, tmp_path, monkeypatch):
    from tuneworthy.models.train import checkpoint, on_policy

    student, teacher = opened(), opened(2, hidden_size=64)
    options = distil.Options(loss="on_policy", samples=1, **{**SMALL, "epochs": 4, "rate": 0.02})
    given = {"unlabelled": unlabelled(18)}
    whole = distil.fit(setup_of(student, tmp_path / "whole", teacher, **given), options, 0)
    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "TIME_SHARE", 1e9)
    real, steps = on_policy._OnPolicyRun._step, []

    def stops(self, *given):
        if len(steps) == 5:
            raise KeyboardInterrupt
        steps.append(0)
        return real(self, *given)

    monkeypatch.setattr(on_policy._OnPolicyRun, "_step", stops)
    setup = setup_of(student, tmp_path / "cut", teacher, **given)
    with pytest.raises(KeyboardInterrupt):
        distil.fit(setup, options, 0)
    monkeypatch.setattr(on_policy._OnPolicyRun, "_step", real)
    said = []
    again = distil.fit(setup_of(student, tmp_path / "cut", teacher, say=said.append, **given),
                       options, 0)  # fmt: skip
    assert "goes on after step 5" in said
    files = [f.artefact / "adapter_model.safetensors" for f in (whole, again)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.full
def test_p16_a_stop_is_heard_between_two_steps_on_policy(opened, tmp_path, monkeypatch):
    from tuneworthy.models.train import on_policy
    from tuneworthy.store import signals

    options = distil.Options(loss="on_policy", samples=1, **{**SMALL, "epochs": 4})
    real, steps = on_policy._OnPolicyRun._step, []

    def stops(self, *given):
        steps.append(0)
        monkeypatch.setattr(signals, "_stop_signal", 130)
        return real(self, *given)

    monkeypatch.setattr(on_policy._OnPolicyRun, "_step", stops)
    setup = setup_of(opened(), tmp_path, opened(2, hidden_size=64), unlabelled=unlabelled(18))
    with pytest.raises(signals.StopRequested):
        distil.fit(setup, options, 0)
    assert len(steps) == 1


def test_what_follows_the_end_of_a_turn_is_not_scored():
    pytest.importorskip("torch")
    from tuneworthy.models.train.on_policy import _ended

    assert _ended([4, 5, 0, 0, 9], [0]) == [4, 5, 0]
    assert _ended([4, 5], [0]) == [4, 5]


@pytest.mark.full
def test_a_rationale_is_a_second_task_with_its_own_weight(opened, tmp_path):
    def reasons(prompt, limits):
        assert "reason" in prompt[-1].content
        return f"It says so.\nAnswer: {right(prompt[:-1] + prompt[-1:], limits)}"

    setup = setup_of(opened(), tmp_path / "u", scripted(reasons), unlabelled=unlabelled(30))
    fitted = distil.fit(setup, distil.Options(rationale=True, **SMALL), 0)
    told = fitted.trace["distilled"]
    assert told["weights"] == {"answer": 1.0, "reason": 0.5}
    assert told["pairs"]["kept"] == 36, "labelled rows have reasons too"
    ids = fitted.trace["loss_by_row"]["ids"]
    assert sum(i.endswith(" why") for i in ids) == 33
    twice = {i.removesuffix(" why") for i in ids if i.endswith(" why")} & {
        f"c{n}" for n in range(6)
    }
    assert sum(i.endswith(" taught") for i in ids) == 33 - len(twice), "a labelled row once"
    answer = fitted.answer([case.query() for case in cases(1, 90)])[0]
    assert "reason" not in answer.prompt[-1].content, "users are asked for the answer alone"


@pytest.mark.full
def test_a_layer_dropped_student_is_another_base_with_its_own_adapter(opened, tmp_path):
    engine = opened()
    setup = setup_of(engine, tmp_path / "u", unlabelled=unlabelled(30))
    options = distil.Options(student="layers", **SMALL)
    fitted = distil.fit(setup, options, 0)
    assert fitted.model.module.config.num_hidden_layers == 2
    assert engine.module.config.num_hidden_layers == 3
    assert fitted.model.fingerprint["layers"] == "0,2"
    with pytest.raises(ModelError):
        engine.with_adapter(fitted.artefact)
    untouched = distil.fit(setup, options.model_copy(update={"learns": "nothing"}), 0)
    own = distil.fit(setup_of(engine, tmp_path / "o"),
                     options.model_copy(update={"learns": "own"}), 0)  # fmt: skip
    asked = [case.query(gold_passage=True) for case in cases(4, 90)]
    texts = [[a.text for a in f.answer(asked)] for f in (fitted, untouched, own)]
    assert all(len(each) == 4 for each in texts)
    assert not untouched.learned
    assert own.trace["rows"]["used"] == 6


def test_a_classifier_learns_the_teachers_labels(tmp_path):
    setup = setup_of(None, tmp_path, train=cases(3))
    fitted = distil.fit(setup, distil.Options(student="classifier", curve=True), 0)
    held = cases(9, 90)
    answers = fitted.answer([case.query() for case in held])
    assert [a.text for a in answers] == [c.output for c in held]
    told = fitted.trace["distilled"]
    assert [point["rows"] for point in told["curve"]] == [22, 45, 90]
    assert told["agreement"] == {"agree": 10, "of": 10}
    wrong = setup_of(None, tmp_path / "w", scripted(swapped))
    lost = distil.fit(wrong, distil.Options(student="classifier", gold="only_teacher"), 0)
    assert lost.answer([held[1].query()])[0].text != held[1].output, "the control"


def test_options_that_exclude_each_other_are_refused():
    for wrong in ({"rationale": True, "loss": "kl"}, {"student": "classifier", "loss": "kl"},
                  {"student": "classifier", "rationale": True}):  # fmt: skip
        with pytest.raises(ValueError, match="loss: text"):
            distil.Options(**wrong)


def test_the_four_columns_are_measured_beside_a_student():
    def names(*arms, **more):
        return {s.name: (s.tool, s.role) for s in specs(task_of(arms=arms, **more))}

    large = {"teacher": "hf:large"}
    plain = names("distil", **large)
    assert set(plain) == {"distil", "teacher", "zero_shot", "lora"}
    assert plain["teacher"] == (None, "ceiling")
    small = names({"distil": {"student": "layers", "epochs": 2}}, **large)
    assert small["distil(student=layers, learns=nothing)"] == (None, "ceiling")
    own = next(name for name in small if "learns=own" in name)
    assert small[own] == ("tune", "candidate")
    assert "epochs=2" in own
    fast = names({"distil": {"student": "classifier"}}, "tfidf", **large)
    assert set(fast) == {"distil(student=classifier)", "teacher", "tfidf"}
    other = names("distil", tune="hf:small", **large)
    assert "distil(learns=nothing)" in other
    order = list(names("rag", {"distil": {"student": "layers"}}, **large))
    assert order.index("teacher") < order.index("rag"), "a ceiling follows the prompts"
    assert order[-2:] == ["distil(student=layers, learns=nothing)", "distil(student=layers)"]
    assert set(names("distil")) == {"distil"}, "without a teacher there is nothing to show"


@pytest.mark.full
def test_teacher_and_student_with_one_tokenizer_must_render_alike(opened):
    student = opened()
    prompts = [(Message(role="user", content="Hello Ann"),)]
    checks.check_same_form(opened(2), student, prompts)
    other = opened(3)
    other.tokenizer.chat_template = other.tokenizer.chat_template.replace("Be useful", "Be quick")
    assert checks.shares_tokenizer(other, student)
    with pytest.raises(ModelError, match="not the form of a conversation"):
        checks.check_same_form(other, student, prompts)
    ends = opened(4)
    ends.ends = [7]
    with pytest.raises(ModelError, match="end a turn"):
        checks.check_same_form(ends, student, prompts)
    assert not checks.shares_tokenizer(opened(5, "zephyr"), student)
    assert not checks.shares_tokenizer(scripted(), student)


@pytest.mark.full
def test_a_model_that_is_not_equal_to_itself_fails_the_arm(opened, monkeypatch):
    from tuneworthy.models.train import top_k_loss

    student, prompts = opened(), [(Message(role="user", content="Hello Ann"),)]
    assert checks.check_self_divergence(student, prompts, ["fine"]) <= checks.ROUNDING_NATS
    monkeypatch.setattr(top_k_loss, "top_k_divergence", lambda *given: given[0][:, 0].abs() + 1)
    with pytest.raises(NumericError, match="not equal to itself"):
        checks.check_self_divergence(student, prompts, ["fine"])


def test_a_loss_that_does_not_fall_and_lengths_that_explode_fail_the_arm():
    def trace(*epochs):
        return {"loss_by_row": {"epochs": [[value] * 9 for value in epochs]}}

    checks.check_learnt(trace(2.0, 1.0))
    checks.check_learnt(trace(2.0))
    for epochs in ((1.0, 1.0), (1.0, 2.0), (1.0, float("nan"))):
        with pytest.raises(NumericError, match="did not fall"):
            checks.check_learnt(trace(*epochs))
    assert checks.check_lengths([4, 6], [5, 5]) == 1
    assert checks.check_lengths([], []) is None
    for long in ([31, 31], [1, 2]):
        with pytest.raises(NumericError, match="times as long"):
            checks.check_lengths(long, [10, 10])


def test_requests_and_work_grow_with_the_unlabelled_inputs():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6,
                  unlabelled=100, folds=5)  # fmt: skip
    zero = distil.Options(teacher_prompt="zero")
    ask = distil.estimate(sizes, zero).asks[0]
    assert (ask.role, ask.requests, ask.most) == ("teacher", 500, 5 * (100 + 100))
    best = distil.estimate(sizes, distil.Options(teacher_prompt="best")).asks[0]
    assert best.most == 5 * (500 + 100)
    few = distil.estimate(sizes, distil.Options(teacher_prompt="zero", rows=10)).asks[0]
    assert few.requests == 50, "no more inputs are paid for than rows are learnt"
    own = distil.estimate(sizes, distil.Options(learns="own"))
    assert {ask.role for ask in own.asks} == {"tune"}
    assert distil.estimate(sizes, zero).trained > 3 * own.trained
    curve = distil.estimate(sizes, distil.Options(curve=True))
    assert curve.trained == 1.75 * distil.estimate(sizes, zero).trained
    assert distil.estimate(sizes, distil.Options(student="classifier")).trained == 0


def test_an_unsuitable_student_is_told_apart(tmp_path):
    with pytest.raises(DoesNotApply, match="`teacher` is not set"):
        distil.fit(Setup(task=task_of(), train=cases(3), dev=[], models={"tune": None}, score=exact,
                         folder=tmp_path, recipe=Recipe()),
                   distil.Options(student="classifier"), 0)  # fmt: skip
    with pytest.raises(DoesNotApply, match="no answers"):
        distil.fit(setup_of(None, tmp_path), distil.Options(student="classifier", learns="nothing"),
                   0)  # fmt: skip
    text = setup_of(None, tmp_path, task=task_of("text"))
    with pytest.raises(DoesNotApply, match="this task has none"):
        distil.fit(text, distil.Options(student="classifier"), 0)
