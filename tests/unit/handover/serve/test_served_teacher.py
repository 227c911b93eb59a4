"""A teacher behind `tuneworthy serve` in another process: distilled, refused, and asked for nothing
that it can't give.
"""

import pytest
from test_serve_command import Running
from tests import distil_kit

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.records.run import RunOptions

pytestmark = pytest.mark.full
TOKEN = "a-token-of-the-test"
STUDENT = {"student": "classifier", "samples": 1, "teacher_prompt": "input"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Serve a classifier of 900 rows; a study of 24 has seen few of their words."""
    pytest.importorskip("skops")
    folder = tmp_path_factory.mktemp("teacher")
    task = distil_kit.write(folder, None, "majority", "tfidf", train=900, test=60, free=0)
    study.run(task, RunOptions(brief=True))
    build(task, options=BuildOptions(arm="tfidf"))
    running = Running(folder, "--token-env", "SERVED", SERVED=TOKEN)
    yield running
    assert running.stop() == 143


@pytest.fixture
def student(teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{teacher.address}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)

    def make(name="taught-tfidf", free=500, **options):
        spec = f"openai:{name}@{teacher.address}/v1"
        given = {"distil": {**STUDENT, **options}}
        path = distil_kit.write(tmp_path / "study", spec, "majority", given, train=16, free=free)
        return study.run(path, RunOptions(pay=True, brief=True))

    return make


def arms_of(done):
    return {arm.name.partition("(")[0]: arm for arm in done.results.evidence.arms}


def test_a_served_artefact_teaches_a_student_and_is_named(student):
    """16 labelled rows, 500 inputs without answers: the student is what the verdict names."""
    done = student()
    arms = arms_of(done)
    assert done.verdict.use == "distil"
    assert arms["teacher"].score.mean > 0.95, "the row alone is its input: it has its own prompt"
    assert arms["distil"].score.mean > arms["tfidf"].score.mean + 0.2
    told = next(r for r in done.results.runs if r.spec.arm == "distil").trace["distilled"]
    pairs = told["pairs"]
    assert pairs["kept"] == pairs["inputs"] >= 499, "one input may be a near copy of a labelled row"
    assert pairs["tokens_out"] is None, "0 tokens for a text is no count that a bill may stand on"


def test_samples_of_an_artefact_fail_the_arm_with_the_servers_words(student):
    done = student(samples=3, free=40)
    failed = next(r for r in done.results.runs if r.spec.arm == "distil")
    assert failed.state == "failed"
    assert "temperature" in str(failed.because)
    assert done.verdict.use != "distil"
