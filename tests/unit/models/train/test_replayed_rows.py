"""Replayed rows: the base's own words, none of the harm check's, the same for every seed."""

import json
import re
from types import SimpleNamespace

import pytest

from tuneworthy.arms import _replay, lora
from tuneworthy.arms.prompt.wordings import REQUESTS, SUBJECTS, general_prompts
from tuneworthy.measure.further import tuned_model
from tuneworthy.records.model import Reply

COMMON = {"a", "an", "the", "in", "of", "is", "for", "to", "and", "with", "that", "one", "two",
          "three", "sentence", "sentences", "about", "short", "write", "someone", "people", "what",
          "are", "who"}  # fmt: skip


def words(texts):
    return {w for text in texts for w in re.findall(r"[a-z]+", text.lower())} - COMMON


def test_no_replayed_request_is_or_resembles_a_text_of_the_harm_check():
    harm = [chat[0].content for chat in tuned_model.chat_prompts()] + tuned_model.openings()
    assert not set(general_prompts()) & set(harm)
    assert not words(SUBJECTS) & words(tuned_model.TOPICS), "a subject of the harm check"
    assert not words(REQUESTS) & words([*tuned_model.REQUESTS, *tuned_model.OPENINGS])
    assert words(tuned_model.TOPICS) & words(harm)  # the control: what is shared is seen
    assert len(set(general_prompts())) == len(REQUESTS) * len(SUBJECTS) == 480


@pytest.mark.parametrize(
    ("share", "rows", "count"),
    [(0, 100, 0), (0.05, 95, 5), (0.05, 100, 5), (0.01, 99, 1), (0.01, 5, 1), (0.02, 980, 20)],
)
def test_the_share_is_of_all_rows_together(share, rows, count):
    assert _replay.replay_count(share, rows) == count
    if count > 1:
        assert count / (count + rows) == pytest.approx(share, abs=0.005)


class Base:
    """A model that answers, is cut off, or gives an empty answer, by the number of the request."""

    def __init__(self, name="one"):
        self.fingerprint, self.asked = {"weights": name}, []

    def reply(self, prompts, limits):
        assert limits == _replay.REPLY_LIMITS
        assert limits.temperature == 0
        self.asked += [prompt[0].content for prompt in prompts]
        return [self.one(p[0].content) for p in prompts]

    def one(self, text):
        number = general_prompts().index(text)
        if number % 5 == 0:
            return Reply(text="cut of", finish="length")
        if number % 7 == 0:
            return Reply(text=" ", finish="stop")
        return Reply(text=f"answer {number}", finish="stop")


def setup_of(folder):
    said = []
    return SimpleNamespace(common=folder, folder=folder / "unit", say=said.append, said=said)


def test_rows_are_written_once_per_base_and_the_same_later(tmp_path):
    base, setup = Base(), setup_of(tmp_path)
    rows = _replay.replay_rows(setup, base, 10)
    assert len(rows) == 10
    assert base.asked == list(general_prompts()[:32])
    assert all(answer.startswith("answer") for _, _, answer in rows), "none cut, none empty"
    again = Base()
    assert _replay.replay_rows(setup, again, 10) == rows
    assert not again.asked
    more = _replay.replay_rows(setup, again, 40)
    assert more[:10] == rows
    assert len(more) == 40
    assert again.asked == list(general_prompts()[32 : 32 + len(again.asked)])
    other = Base("two")
    _replay.replay_rows(setup, other, 10)
    assert other.asked, "another base has words of its own"
    assert _replay.replay_rows(setup, base, 0) == []


@pytest.mark.parametrize("damage", ["{", '{"rows": 3}', '{"rows": [["Other?", "x"]]}'])
def test_a_damaged_file_is_written_again(tmp_path, damage):
    setup = setup_of(tmp_path)
    rows = _replay.replay_rows(setup, Base(), 5)
    (file,) = (tmp_path / "replay").glob("*.json")
    file.write_text(damage)
    base = Base()
    assert _replay.replay_rows(setup, base, 5) == rows
    assert base.asked
    assert json.loads(file.read_text())["rows"]


def test_a_base_that_ends_few_answers_gives_what_it_has(tmp_path):
    base = Base()
    usable = sum(n % 5 != 0 and n % 7 != 0 for n in range(480))
    rows = _replay.replay_rows(setup_of(tmp_path), base, 480)
    assert len(rows) == usable < 480
    assert len(base.asked) == 480, "no request is put twice"


@pytest.mark.full
def test_the_arm_mixes_them_among_its_rows_and_says_so(engine, tmp_path, monkeypatch):
    from test_lora_arm import cases, setup_of

    options = lora.Options(epochs=1, rank=4, rate=5e-3)
    told = {}

    def trained(name, share):
        setup = setup_of(engine, tmp_path / name, cases(24), [], common=tmp_path / "common")
        chosen = options.model_copy(update={"replay": share})
        told[name] = lora.fit(setup, chosen, 0)
        return (told[name].artefact / "adapter_model.safetensors").read_bytes()

    plain, cut = trained("plain", 0.0), trained("cut", 0.05)
    assert "replay" not in told["plain"].trace
    assert cut == plain, "this random model ends no answer: nothing is replayed"
    assert "0 of 1 general rows replayed: the base ended no more answers" in told["cut"].notes[0]
    (file,) = (tmp_path / "common" / "replay").glob("*.json")
    file.unlink()
    monkeypatch.setattr(
        _replay, "_answer_requests", lambda reply, texts: [(t, "Quite.") for t in texts]
    )
    assert trained("mixed", 0.05) != plain
    mixed = told["mixed"].trace
    assert mixed["replay"] == {"given": 1, "used": 1, "excluded": {}}
    assert mixed["rows"] == told["plain"].trace["rows"], "task rows are counted apart"
    assert mixed["loss_by_row"]["ids"][24:] == ["replay 1"]
    assert not told["mixed"].notes


@pytest.mark.full
def test_replayed_rows_hold_the_base_nearer_to_what_it_said(tiny, engine, tmp_path):
    """The mechanism itself: with the rows trained on too, their loss rises less."""
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import Example, TrainingData

    rows = tiny.examples(20)
    general = [Example(f"replay {e.id}", e.messages, e.answer)
               for e in tiny.examples(8, seed=77, system="Be brief.")]  # fmt: skip
    settings = LoraSettings(rank=8, pace=TrainingSchedule(epochs=4, batch=4, rate=1e-2))
    loss = {}
    for name, replay in (("without", []), ("with", general)):
        lessons = TrainingData(rows, general, None, replay=replay)
        trace = fit_lora(engine, lessons, settings, 0, tmp_path / name).trace
        loss[name] = trace["evaluations"][-1]["dev_loss"]
    assert loss["with"] < loss["without"]
