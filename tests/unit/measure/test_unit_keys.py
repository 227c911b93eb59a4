"""D1, stale answers: the key of what is stored holds everything that can change an answer."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runner_kit import bench_of, cases, planned

import tuneworthy
from tuneworthy.measure.further.known_facts import ProbeSetup, probe_facts
from tuneworthy.measure.further.robustness import measure_robustness
from tuneworthy.measure.further.tuned_model import TunedPair
from tuneworthy.measure.judge_metric import JudgeMetric
from tuneworthy.measure.unit import Unit
from tuneworthy.measure.units import measure
from tuneworthy.models import content_of
from tuneworthy.models._reply_cache import RequestOverrides, with_overrides
from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import code
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotFit, ModelError
from tuneworthy.records.run import Run
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.sealed import Sealed
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger

LABELS = ("billing", "delivery", "defect")
TASK = Task(data=Data(file="rows.jsonl"), instruction="Name the topic.",
            output=Output(type="label", labels=LABELS, max_tokens=8))  # fmt: skip
UNLEARNED = ("zero_shot", "constrained")
BEST = [Recipe(), Recipe()]


class Counted(Scripted):
    """A scripted model that counts the prompts it was asked; its fingerprint never changes."""

    def __init__(self):
        self.asked = 0
        super().__init__("scripted:counted", self.count)

    def count(self, prompt, limits):
        self.asked += 1
        return next((label for label in LABELS if label in prompt[-1].content), "billing")


@pytest.fixture
def opened(tmp_path):
    model = Counted()
    with bench_of(tmp_path, TASK, cases(40, LABELS), {"base": model}) as bench:
        yield bench, model


@pytest.fixture
def altered(tmp_path, monkeypatch):
    """Returns a function that changes one source file of the package, in a copy of it."""
    root = Path(tuneworthy.__file__).parent

    def alter(name):
        home = tmp_path / name.replace("/", "-")
        shutil.copytree(root, home, ignore=shutil.ignore_patterns("__pycache__"))
        with (home / name).open("a") as file:
            file.write("# changed\n")
        monkeypatch.setattr(code, "_ROOT", home)
        code.source_digest.cache_clear()

    yield alter
    monkeypatch.undo()
    code.source_digest.cache_clear()


def sealed(rows):
    return Sealed(rows, lambda door, purpose: None)


def asked(bench, model, arm):
    """How many prompts measuring an arm takes now."""
    before = model.asked
    measure(bench, planned(arm, bench), BEST, False)
    return model.asked - before


@pytest.mark.parametrize("arm", UNLEARNED)
def test_what_learns_nothing_is_asked_once_for_all_folds_and_not_again(opened, arm):
    bench, model = opened
    assert asked(bench, model, arm) == 40  # every case once: no fold asks for its own dev rows
    assert asked(bench, model, arm) == 0


def test_an_edited_input_is_asked_anew(opened):
    bench, model = opened
    asked(bench, model, "zero_shot")
    rows = cases(40, LABELS)
    edited = (Message(role="user", content="Pam asks about a defect."),)
    rows[7] = rows[7].model_copy(update={"messages": edited})
    assert asked(replace(bench, sealed=sealed(rows)), model, "zero_shot") > 0
    assert asked(replace(bench, sealed=sealed(rows)), model, "zero_shot") == 0


@pytest.mark.parametrize("arm", UNLEARNED)
def test_d1_a_new_version_asks_anew(opened, arm, monkeypatch):
    bench, model = opened
    asked(bench, model, arm)
    monkeypatch.setattr(code, "__version__", "99.0")
    assert asked(bench, model, arm) == 40
    assert asked(bench, model, arm) == 0


@pytest.mark.parametrize(
    "name",
    ["arms/prompt/messages.py", "arms/_prompted.py", "models/local/generate.py", "records/case.py"],
)
def test_d1_a_change_in_shared_code_asks_anew(opened, altered, name):
    bench, model = opened
    asked(bench, model, "zero_shot")
    altered("report/exports.py")  # no code that makes an answer
    assert asked(bench, model, "zero_shot") == 0
    altered(name)
    assert asked(bench, model, "zero_shot") == 40


@pytest.mark.parametrize("arm", [*UNLEARNED, "few_shot"])
def test_d1_a_study_started_anew_asks_anew(opened, arm):
    bench, model = opened
    first = asked(bench, model, arm)
    assert asked(replace(bench, salt="1"), model, arm) == first > 0
    assert asked(replace(bench, salt="1"), model, arm) == 0


@pytest.mark.parametrize(
    "change", [{"thinking": "on"}, {"thinking_tokens": 64}, {"options": {"model": {"top_p": 0.5}}}]
)
def test_d1_how_a_model_is_asked_belongs_to_the_key(opened, change):
    bench, model = opened
    asked(bench, model, "zero_shot")
    task = bench.task.model_copy(update=change).at(bench.task.folder)
    assert asked(replace(bench, task=task), model, "zero_shot") == 40


def test_d1_an_arm_that_chooses_by_score_chooses_anew_under_another_metric(opened):
    bench, model = opened
    first = asked(bench, model, "few_shot")
    other = replace(bench, metric_digest="another")
    assert asked(other, model, "few_shot") == first
    asked(bench, model, "zero_shot")
    assert asked(other, model, "zero_shot") == 0  # the same answers, scored otherwise


@pytest.mark.parametrize("arm", ["distil", "prompt_distil", "teacher"])
def test_d1_what_decides_a_teachers_pairs_belongs_to_the_key(opened, arm):
    """A labelled row's pair is kept from `pass_at` on; the prompt follows whose teacher it is."""
    bench, _ = opened

    def key(name, **changes):
        task = bench.task.model_copy(update={"teacher": "hf:large", **changes})
        unit = Unit(planned(name, bench).spec, 0, 0, bench.split.parts[0], Recipe(), False)
        return unit.key_fields(replace(bench, task=task))

    strict = {"success": bench.task.success.model_copy(update={"pass_at": 0.9})}
    assert key(arm) == key(arm, model="hf:other")
    assert key(arm) != key(arm, **strict)
    assert key(arm) != key(arm, model="hf:large"), "the teacher is the task's own model now"
    assert key("lora") == key("lora", **strict)


def folded(bench, model, more, role="candidate", arm="constrained"):
    """How many prompts an arm takes after other prompts were measured, and what it stands on."""
    plan = planned(arm, bench)
    plan = plan.model_copy(update={"spec": plan.spec.model_copy(update={"role": role})})
    runs = [run for name in ("zero_shot", *more)
            for run in measure(bench, planned(name, bench), BEST, False)]  # fmt: skip
    before = model.asked
    found = measure(replace(bench, runs=runs), plan, BEST, False)
    return model.asked - before, found


def test_the_prompts_that_an_arm_may_choose_belong_to_its_key_and_to_no_others(opened):
    bench, model = opened
    _, runs = folded(bench, model, ())
    assert {run.recipe for run in runs} == {Recipe()}
    assert folded(bench, model, ())[0] == 0
    more, runs = folded(bench, model, ("few_shot",))
    assert more == 2 * 2 * 10, "10 dev rows a fold with each prompt: the answers themselves stay"
    assert all(
        note.startswith("stands on zero_shot: few_shot was") for r in runs for note in r.notes
    )
    assert folded(bench, model, ("few_shot",))[0] == 0
    assert folded(bench, model, ("few_shot",), arm="zero_shot")[0] == 0, "it chooses no prompt"


def test_a_placebo_is_handed_no_prompts(opened):
    bench, model = opened
    _, runs = folded(bench, model, ("few_shot",), role="placebo")
    assert [(run.recipe, run.notes) for run in runs] == [(Recipe(), ())] * 2


def test_the_code_is_read_once_in_a_process(opened, monkeypatch):
    bench, model = opened
    code.code_version()
    monkeypatch.setattr(Path, "glob", None)  # a second look at the files would fail
    assert set(code.code_version()) == {"version", "source"}
    asked(bench, model, "zero_shot")


def keys_of(ask, monkeypatch):
    """The keys that a stored thing has now, after an upgrade, and under another salt."""
    found = []
    for version, salt in (("1", ""), ("1", ""), ("2", ""), ("1", "1")):
        monkeypatch.setattr(code, "__version__", version)
        keys = []

        def store(key, make, keys=keys):
            keys.append(key)
            return make()

        ask(store, salt)
        assert keys
        found.append(tuple(keys))
    return found


def probed(model, store, salt):
    rows = [Case(id=f"k{n}", messages=(Message(role="user", content=f"q{n}"),), output=f"a{n}")
            for n in range(12)]  # fmt: skip
    task = Task(data=Data(file="rows.jsonl"), output=Output(type="text", max_tokens=4))
    probe_facts(
        ProbeSetup(task, model, lambda c, a: Score(value=0), 0.5, rows, store, salt), rows[:4]
    )


def judged(model, store, salt):
    case = Case(id="c", messages=(Message(role="user", content="hi"),), output="yes")
    JudgeMetric(TASK, model, store, salt)(case, Answer(case="c", text="no"))


def dialed(model, store, salt):
    prompt = [Message(role="user", content="hi")]
    with_overrides(model, RequestOverrides(), store, salt).reply([prompt], model_limits())


def model_limits():
    from tuneworthy.records.model import Limits

    return Limits(max_tokens=4)


@pytest.mark.parametrize("ask", [probed, judged, dialed])
def test_d1_every_other_store_of_replies_tells_versions_and_studies_apart(ask, monkeypatch):
    model = Counted()
    one, same, upgraded, fresh = keys_of(lambda *more: ask(model, *more), monkeypatch)
    assert one == same
    assert len({one, upgraded, fresh}) == 3


def test_d1_figures_of_a_tuned_model_tell_versions_apart(opened, monkeypatch):
    bench, model = opened
    spec = planned("zero_shot", bench).spec
    tuned = TunedPair(bench, Run(spec=spec, seed=0, fold=0, state="measured"), model, model)
    assert tuned.unit("x", [], lambda: {"made": 1}) == {"made": 1}
    assert tuned.unit("x", [], lambda: {"made": 2}) == {"made": 1}
    monkeypatch.setattr(code, "__version__", "99.0")
    assert tuned.unit("x", [], lambda: {"made": 2}) == {"made": 2}


def test_d1_an_arm_that_is_shaken_keeps_its_files_apart_by_fold_and_salt(opened):
    bench, _ = opened
    runs = measure(bench, planned("few_shot", bench), BEST, False)

    def folders():
        return {path.name for path in (bench.ledger.home / "blobs").iterdir()}

    before = folders()
    measure_robustness(bench, runs, ["few_shot"])
    once = folders() - before
    assert len(once) == 2, "one a fold"
    measure_robustness(bench, runs, ["few_shot"])
    assert folders() - before == once
    measure_robustness(replace(bench, salt="1"), runs, ["few_shot"])
    assert len(folders() - before) == 4


def test_d1_a_request_to_an_endpoint_is_sent_again_by_a_study_started_anew(tmp_path):
    prompt, bodies = [Message(role="user", content="hi")], []

    def keys(salt):
        with open_ledger(tmp_path) as ledger:
            model = Remote("m", endpoint("http://127.0.0.1:9/v1"), SpendingCap(ledger, salt=salt))
            model.purse.recorded = lambda key: bodies.append(key) or {"text": "known"}
            model.reply([prompt], model_limits())
        return bodies[-1]

    assert keys("") == keys("")
    assert len({keys(""), keys("1"), keys("2")}) == 3


def test_d1_files_of_a_model_that_a_user_can_replace_have_a_digest(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    before = content_of("hf:./mine", tmp_path)
    assert before == content_of("hf:./mine", tmp_path) != ""
    (folder / "model.safetensors").write_bytes(b"others!")
    assert content_of("hf:./mine", tmp_path) != before
    (tmp_path / "r.jsonl").write_text("{}")
    assert content_of("scripted:./r.jsonl", tmp_path) != ""
    for spec in ("smollm2-135m", "hf:org/name", "openai:m", "scripted:echo"):
        assert content_of(spec, tmp_path) == ""


@pytest.mark.parametrize(("error", "again"), [(DoesNotFit, True), (ModelError, False)])
def test_an_arm_without_memory_is_tried_again_by_the_next_run(error, again, opened, monkeypatch):
    bench, model = opened

    def fail(prompts, limits):
        raise error("one row alone is too much", where="cuda:0")

    with monkeypatch.context() as patched:
        patched.setattr(model, "reply", fail)
        first = measure(bench, planned("zero_shot", bench), BEST, False)
    assert [run.state for run in first] == ["failed"]
    assert "one row alone is too much" in str(first[0].because)
    second = measure(bench, planned("zero_shot", bench), BEST, False)
    assert all(run.state == ("measured" if again else "failed") for run in second)
