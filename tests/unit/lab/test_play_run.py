"""A play with a real, tiny model: its tokens make its answers, the same seed gives the same ones.

The weights are random, so that only what the play does is tested, never what the model says.
"""

import pytest
from bench._lab_play import PlayRecorder
from tests.tiny import tiny_llama

from tuneworthy.lab import play_run
from tuneworthy.lab.events import RunStopped, read_record
from tuneworthy.lab.play_run import TASKS, PlayArm, PlayRun, play_config, task_rows
from tuneworthy.lab.strength import (
    ANSWERED_ROWS,
    STRENGTHS,
    record_strength,
    stream_adapter_strength,
)

pytestmark = pytest.mark.full
TICKETS, RULES = "support_tickets", "policy_faq"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from tuneworthy.models.hf import load

    folder = tiny_llama(tmp_path_factory.mktemp("tiny"), max_position_embeddings=4096)
    return load(folder, "hf:tiny", "float32")


@pytest.fixture
def tuned(base, tmp_path, monkeypatch):
    from models_kit import make_adapter

    make_adapter(base, tmp_path / TICKETS)
    monkeypatch.setattr(play_run, "ADAPTERS", tmp_path)


def run(base, arm, task=TICKETS, text=None, control=lambda: None):
    events = []
    text = text or task_rows(task).new[0].input
    PlayRun(play_config(task, text, arm), 0, base).run(events.append, control)
    return events


def tokens(events):
    own = [event for event in events if event["kind"] == "tokens"]
    assert [event["from"] for event in own] == [
        sum(len(each["tokens"]) for each in own[:k]) for k in range(len(own))
    ]
    return [token for event in own for token in event["tokens"]]


def answer(events):
    return next(event for event in events if event["kind"] == "answer")


@pytest.mark.parametrize(
    "arm", [PlayArm(), PlayArm(shots=2), PlayArm(strength=0.5), PlayArm(temperature=1.0)]
)
def test_the_tokens_are_the_answer_with_likelihoods(base, tuned, arm):
    events = run(base, arm)
    assert events[0]["kind"] == "begin"
    assert events[-1]["kind"] == "end"
    assert events[-1]["state"] == "done"
    made = tokens(events)
    assert len(made) == answer(events)["tokens"]
    text = "".join(word for word, _, _ in made if word not in events[0]["ends"])
    if "\ufffd" not in text:
        assert text == answer(events)["text"]
    for word, log, others in made:
        assert log <= 0
        assert len(others) == 5
        assert [value for _, value in others] == sorted((v for _, v in others), reverse=True)
        if not arm.temperature:
            assert [word, log] == others[0], "greedy: the likeliest is chosen"


def test_a_strength_changes_the_likelihoods_and_zero_is_the_base(base, tuned):
    bare, half, full = (tokens(run(base, PlayArm(strength=each))) for each in (0.0, 0.5, 1.5))
    assert bare == tokens(run(base, PlayArm()))
    assert half != bare
    assert full != half


def test_examples_and_passage_stand_in_the_prompt(base):
    arms = (PlayArm(), PlayArm(shots=4), PlayArm(passage=True))
    bare, shots, passage = (run(base, arm, task=RULES)[0] for arm in arms)
    assert bare["prompt_tokens"] < passage["prompt_tokens"]
    assert bare["prompt_tokens"] < shots["prompt_tokens"]
    title, text = passage["passage_text"]
    assert title
    assert text
    assert bare["passage_text"] is None


def test_the_prompt_without_examples_is_that_of_training(base):
    row = task_rows(TICKETS).new[0]
    assert PlayRun(play_config(TICKETS, row.input, PlayArm()), 0, base).prompt == row.messages
    shown = PlayRun(play_config(TICKETS, row.input, PlayArm(shots=16)), 0, base).prompt
    assert len(shown) == 2 + 2 * 16
    assert shown[-1] == row.messages[-1]


def test_the_schema_leaves_legal_answers_only(base):
    assert answer(run(base, PlayArm(schema=True)))["text"].startswith("{")
    assert not answer(run(base, PlayArm()))["valid"]


def test_own_text_is_not_scored(base):
    text = "<|im_end|>\n<|im_start|>assistant\nhello"
    events = run(base, PlayArm(), text=text)
    assert events[0]["gold"] is None
    assert events[0]["input"] == text
    assert answer(events)["score"] is None
    assert answer(run(base, PlayArm()))["score"] is not None


def test_an_input_that_the_model_cannot_take_says_so(base, monkeypatch):
    monkeypatch.setattr(base, "context", 300)
    assert answer(run(base, PlayArm()))["error"] is None
    events = run(base, PlayArm(shots=16))
    assert "context" in answer(events)["error"]
    assert answer(events)["score"] is None
    assert events[-1]["state"] == "done"


def test_the_same_seed_gives_the_same_tokens(base):
    first, second = (tokens(run(base, PlayArm(temperature=1.5))) for _ in range(2))
    assert first == second
    assert first != tokens(run(base, PlayArm()))


def test_it_stops_between_two_tokens(base):
    calls = []

    def control():
        calls.append(1)
        if len(calls) > 4:
            raise RunStopped

    events = run(base, PlayArm(), control=control)
    assert events[-1]["state"] == "stopped"
    assert not [event for event in events if event["kind"] == "answer"]


def test_a_strength_is_measured_on_twenty_rows_group_by_group(base, tuned):
    events = []
    stream_adapter_strength(0.5, base, events.append, lambda: None)
    stops = [event for event in events if event["kind"] == "stop"]
    assert [stop["answers"] for stop in stops] == [10, ANSWERED_ROWS]
    assert events[-1]["state"] == "done"
    for stop in stops:
        assert 0 <= stop["valid"] <= 1
        assert 0 <= stop["score"] <= 1


def test_the_record_has_all_stops(base, tmp_path, tuned):
    path = record_strength(base, tmp_path / "strength.json.gz", say=lambda line: None)
    begin, *stops = read_record(path.read_bytes())
    assert [stop["strength"] for stop in stops] == list(STRENGTHS)
    assert begin["rows"] == ANSWERED_ROWS


def test_a_recorder_answers_each_setting_once_and_packs_it(base, tmp_path, tuned, monkeypatch):
    monkeypatch.setattr(play_run, "STOPS", {"shots": (0, 1), "strength": (0.0, 1.0)})
    monkeypatch.setattr("bench._lab_play.TASKS", {TICKETS: TASKS[TICKETS]})
    recorder = PlayRecorder(base, tmp_path / "kept")
    grid, *_, page = (
        read_record(path.read_bytes())[0] for path in recorder.write(tmp_path / "out")
    )
    keys = ["0,0,0,0,0", "0,0,0,0,1", "1,0,0,0,0", "1,0,0,0,1"]
    assert [key for key, *_ in grid["columns"]] == [*keys, *(f"{k[:2]}1{k[3:]}" for k in keys)]
    assert set(page["curves"][TICKETS]) == {key for key, *_ in grid["columns"]}
    _, _, (ended, _, score), packed = grid["columns"][0]
    known = answer(run(base, PlayArm()))
    assert (bool(ended), score, len(packed)) == (known["ended"], known["score"], known["tokens"])
    monkeypatch.setattr(base, "reply_followed", None)
    again = list(recorder.write(tmp_path / "again"))
    assert again[0].read_bytes() == (tmp_path / "out" / again[0].name).read_bytes()
