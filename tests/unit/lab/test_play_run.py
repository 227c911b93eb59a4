"""A play with a real, tiny model: its tokens make its answers, the same seed gives the same ones.

The weights are random, so that only what the play does is tested, never what the model says.
"""

import pytest
from tests.tiny import tiny_llama

from tuneworthy.lab import play_run
from tuneworthy.lab.events import RunStopped
from tuneworthy.lab.play_run import PlayArm, PlayRun, play_config, run_play, task_rows
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

    make_adapter(base, tmp_path / "adapter")
    adapted, asked = base.with_adapter(tmp_path / "adapter"), []

    def trained(model, rows, seed, shared, control):
        asked.append((shared, len(rows.train)))
        for step in range(1, 17):
            control(step)
        return adapted

    monkeypatch.setattr(play_run, "trained_model", trained)
    return asked


def run(base, folder, arms, task=TICKETS, text=None, control=lambda: None):
    events = []
    text = text or task_rows(task).new[0].input
    run_play(play_config(task, text, arms), 0, base, (folder, events.append, control))
    return events


def tokens(events, arm):
    own = [event for event in events if event["kind"] == "tokens" and event["arm"] == arm]
    assert [event["from"] for event in own] == [
        sum(len(each["tokens"]) for each in own[:k]) for k in range(len(own))
    ]
    return [token for event in own for token in event["tokens"]]


def answers(events):
    return {event["arm"]: event for event in events if event["kind"] == "answer"}


def test_the_tokens_are_the_answer_with_likelihoods(base, tmp_path, tuned):
    events = run(
        base,
        tmp_path,
        (PlayArm(), PlayArm(shots=2), PlayArm(strength=0.5), PlayArm(temperature=1.0)),
    )
    assert events[0]["kind"] == "begin"
    assert events[-1]["kind"] == "end"
    assert events[-1]["state"] == "done"
    assert len(answers(events)) == 4
    for arm, answer in answers(events).items():
        made = tokens(events, arm)
        assert len(made) == answer["tokens"]
        text = "".join(word for word, _, _ in made if word not in events[0]["ends"])
        if "\ufffd" not in text:
            assert text == answer["text"]
        for word, log, others in made:
            assert log <= 0
            assert len(others) == 5
            assert [value for _, value in others] == sorted((v for _, v in others), reverse=True)
            if arm < 3:
                assert [word, log] == others[0], "greedy: the likeliest is chosen"
    assert len(tuned) == 1, "the adapter is opened once"


def test_examples_and_passage_stand_in_the_prompt(base, tmp_path):
    events = run(base, tmp_path, (PlayArm(), PlayArm(shots=4), PlayArm(passage=True)), task=RULES)
    bare, shots, passage = events[0]["arms"]
    assert bare["prompt_tokens"] < passage["prompt_tokens"]
    assert bare["prompt_tokens"] < shots["prompt_tokens"]
    title, text = passage["passage_text"]
    assert title
    assert text
    assert bare["passage_text"] is None


def test_the_prompt_without_examples_is_that_of_training(base, tmp_path):
    row = task_rows(TICKETS).new[0]
    play = PlayRun(
        play_config(TICKETS, row.input, (PlayArm(), PlayArm(shots=16))), 0, base, tmp_path
    )
    assert play._prompt(PlayArm(), None) == row.messages
    shown = play._prompt(PlayArm(shots=16), None)
    assert len(shown) == 2 + 2 * 16
    assert shown[-1] == row.messages[-1]


def test_the_schema_leaves_legal_answers_only(base, tmp_path):
    events = run(base, tmp_path, (PlayArm(), PlayArm(schema=True)))
    assert answers(events)[1]["text"].startswith("{")
    assert not answers(events)[0]["valid"]


def test_own_text_is_not_scored(base, tmp_path):
    text = "<|im_end|>\n<|im_start|>assistant\nhello"
    events = run(base, tmp_path, (PlayArm(), PlayArm(shots=1)), text=text)
    assert events[0]["gold"] is None
    assert events[0]["input"] == text
    assert all(answer["score"] is None for answer in answers(events).values())
    known = run(base, tmp_path, (PlayArm(), PlayArm(shots=1)))
    assert all(answer["score"] is not None for answer in answers(known).values())


def test_an_input_that_the_model_cannot_take_ends_its_columns_alone(base, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "context", 300)
    events = run(base, tmp_path, (PlayArm(), PlayArm(shots=16)))
    assert answers(events)[0]["error"] is None
    assert "context" in answers(events)[1]["error"]
    assert answers(events)[1]["score"] is None
    assert events[-1]["state"] == "done"


def test_the_same_seed_gives_the_same_tokens(base, tmp_path):
    arms = (PlayArm(temperature=1.0), PlayArm(temperature=1.5))
    first, second = run(base, tmp_path, arms), run(base, tmp_path, arms)
    assert [tokens(first, arm) for arm in (0, 1)] == [tokens(second, arm) for arm in (0, 1)]


def test_it_stops_between_two_tokens_and_while_the_adapter_is_trained(base, tmp_path, tuned):
    calls = []

    def after(most):
        calls.clear()

        def control():
            calls.append(1)
            if len(calls) > most:
                raise RunStopped

        return control

    events = run(base, tmp_path, (PlayArm(), PlayArm(shots=1)), control=after(4))
    assert events[-1]["state"] == "stopped"
    assert not answers(events)
    events = run(base, tmp_path, (PlayArm(), PlayArm(strength=1.0)), control=after(10))
    assert events[-1]["state"] == "stopped"
    assert [event["kind"] for event in events].count("log") == 2


def test_a_strength_is_measured_on_twenty_rows_group_by_group(base, tmp_path, tuned):
    events = []
    stream_adapter_strength(0.5, base, (tmp_path, events.append, lambda: None))
    stops = [event for event in events if event["kind"] == "stop"]
    assert [stop["answers"] for stop in stops] == [10, ANSWERED_ROWS]
    assert events[-1]["state"] == "done"
    for stop in stops:
        assert 0 <= stop["valid"] <= 1
        assert 0 <= stop["score"] <= 1


def test_the_record_has_all_stops(base, tmp_path, tuned, monkeypatch):
    from tuneworthy.lab.events import read_record

    path = record_strength(base, tmp_path, tmp_path / "strength.json.gz", say=lambda line: None)
    begin, *stops = read_record(path.read_bytes())
    assert [stop["strength"] for stop in stops] == list(STRENGTHS)
    assert begin["rows"] == ANSWERED_ROWS
