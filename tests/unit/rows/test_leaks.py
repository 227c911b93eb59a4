"""P10: planted overlaps between train and test are found; clean sets raise no alarm."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.audit import audit
from tuneworthy.rows.copies import (
    MOST_EDITED_COPIES,
    UnionFind,
    jaccard,
    near_copy_pairs,
    normalised_text,
    shingles,
    text_without_punctuation,
)
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import Loaded, load

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def vocabulary(rng: random.Random) -> list[str]:
    return ["".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 9))) for _ in range(800)]


def rows(rng: random.Random, count: int) -> list[dict[str, str]]:
    words = vocabulary(rng)
    return [
        {"input": " ".join(rng.choice(words) for _ in range(rng.randint(9, 18))).capitalize() + ".",
         "output": f"label {rng.randrange(5)}"} for _ in range(count)
    ]  # fmt: skip


CHANGES = {
    "exact": lambda text: text,
    "case": str.upper,
    "whitespace": lambda text: "  " + text.replace(" ", " \t") + "\n",
    "punctuation": lambda text: text.replace(" ", ", ", 2).rstrip(".") + " !!",
    "form": lambda text: text.replace("a", "\uff41"),  # the same letter, full width
}


ANSWER = "press the red button and then wait for a minute"
WORDS = vocabulary(random.Random(8))


def write(folder: Path, train: list[dict[str, str]], test: list[dict[str, str]]) -> Task:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, train)))
    (folder / "b.jsonl").write_text("\n".join(map(json.dumps, test)))
    return Task(data=Data(train="a.jsonl", test="b.jsonl")).at(folder)


@pytest.mark.parametrize("change", CHANGES)
def test_p10_normalised_overlap_is_refused_and_its_train_copy_left_out(change, tmp_path):
    rng = random.Random(change)
    train, test = rows(rng, 120), rows(rng, 60)
    planted = [dict(row, input=CHANGES[change](row["input"])) for row in test[:30]]
    task = write(tmp_path, train + planted, test)
    with pytest.raises(DataError, match="30 of 150 training rows") as caught:
        load(task)
    assert caught.value.exit_code == 5
    assert "a.jsonl:121 is b.jsonl:1" in caught.value.where
    got = load(task, "exclude")
    assert got.excluded == {"copy of a test row": 30}
    assert len(got.cases) == 120
    assert len(got.test) == 60
    assert got.rows == 210


def test_p10_an_exact_copy_leaks_whatever_its_answer(tmp_path):
    rng = random.Random(5)
    train, test = rows(rng, 50), rows(rng, 20)
    other = [dict(test[0], output="label 0" if test[0]["output"] != "label 0" else "label 1")]
    with pytest.raises(DataError, match="1 of 51"):
        load(write(tmp_path, train + other, test))


def changed_a_little(rng: random.Random, text: str) -> str:
    """Change letters until the Jaccard of shingles lies a little above .8."""
    best = text
    for _ in range(30):
        place = rng.randrange(len(best))
        next_ = best[:place] + rng.choice(LETTERS) + best[place + 1 :]
        if (
            jaccard(
                shingles(text_without_punctuation(text)), shingles(text_without_punctuation(next_))
            )
            < 0.8
        ):
            break
        best = next_
    return best


def near_leaks(loaded: Loaded) -> set[str]:
    seen = audit(loaded, split(loaded)).observations
    return {one for o in seen if o.kind == "near_leak" for one in o.ids}


def test_p10_near_copies_are_found(tmp_path):
    found = planted = 0
    for seed in range(20):
        rng = random.Random(seed)
        train, test = rows(rng, 100), rows(rng, 40)
        changed = [dict(row, input=changed_a_little(rng, row["input"])) for row in test[:10]]
        changed = [
            c
            for c, row in zip(changed, test[:10], strict=True)
            if text_without_punctuation(c["input"]) != text_without_punctuation(row["input"])
        ]
        folder = tmp_path / str(seed)
        folder.mkdir()
        got = load(write(folder, train + changed, test))
        hits = near_leaks(got)
        planted += len(changed)
        found += sum(f"a.jsonl:{101 + n}" in hits for n in range(len(changed)))
    assert planted >= 150
    assert found >= 0.95 * planted


def test_p10_clean_sets_raise_no_alarm(tmp_path):
    alarms = 0
    for seed in range(20):
        rng = random.Random(1000 + seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        alarms += len(near_leaks(load(write(folder, rows(rng, 100), rows(rng, 40)))))
    assert alarms <= 0.01 * 20 * 100


def test_near_copies_need_the_same_answer():
    one, other = (
        "the parcel has not arrived at my home yet",
        "the parcel has not arrived at my house",
    )
    text = [text_without_punctuation(one), text_without_punctuation(one + " now")]
    assert near_copy_pairs(text, ["a", "a"])
    assert not near_copy_pairs(text, ["a", "b"])
    assert not near_copy_pairs([one, other], ["a", "a"])


def entered_twice(rng: random.Random, count: int) -> list[dict[str, str]]:
    """Rows with inputs from one template; each stands there twice, both texts lightly edited."""
    found = []
    for n in range(count):
        first, other = (" ".join(rng.choice(WORDS) for _ in range(k)) for k in (2, 16))
        text = (
            f"Hello, I have been a customer for some years and today I would like to {first} from"
            " the web page, could you tell me which steps I have to take for that?"
        )
        found.append({"id": f"a{n}", "input": text, "output": f"{other.capitalize()}."})
        found.append({"id": f"b{n}", "input": text.replace("today", "now"), "output": f"{other}!!"})
    return found


def test_a_free_text_row_entered_twice_with_light_edits_stands_in_one_fold(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "\n".join(map(json.dumps, entered_twice(random.Random(3), 100)))
    )
    got = load(Task(data=Data(file="a.jsonl")).at(tmp_path))
    made = split(got)
    fold = {one: k for k, part in enumerate(made.parts) for one in part.test}
    assert all(fold[f"a{n}"] == fold[f"b{n}"] for n in range(100))
    assert len(set(made.groups.values())) == 100, "another answer is a contrast, not a copy"
    told = {one.kind: one for one in audit(got, made).observations}
    assert told["near_copies"].count == 200
    assert "near-copies of another with the same answer, or nearly" in told["near_copies"].text


@pytest.mark.parametrize(
    ("one", "other", "linked"),
    [
        (ANSWER, f"{ANSWER} now", True),
        (ANSWER, "call the shop and ask them to send you a form", False),
        ("press the red button", "press the red buttons", False),  # short: a label
        ('{"intent": "play", "title": "a long song of june"}',
         '{"intent": "play", "title": "a long song of july"}', False),
    ],
)  # fmt: skip
def test_near_equal_answers_are_one_in_long_free_text_only(one, other, linked):
    text = "the parcel that i ordered last monday has not arrived at my home yet"
    assert bool(near_copy_pairs([text, f"{text} now"], [one, other])) is linked


def test_near_pairs_equal_a_brute_force_search():
    rng = random.Random(11)
    texts = [row["input"] for row in rows(rng, 150)]
    texts += [changed_a_little(rng, text) for text in texts[:60]]
    answers = ["x"] * len(texts)
    found = {(min(a, b), max(a, b)) for a, b, _ in near_copy_pairs(texts, answers)}
    words = [shingles(text) for text in texts]
    real = {(a, b) for a in range(len(texts)) for b in range(a + 1, len(texts))
            if jaccard(words[a], words[b]) >= 0.8}  # fmt: skip
    assert found <= real
    assert len(real) >= 50
    assert len(found) >= 0.98 * len(real)


def test_shingle_jaccard_is_that_of_sets():
    one, other = "a line of some words", "a line of other words"

    def grams(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    expected = len(grams(one) & grams(other)) / len(grams(one) | grams(other))
    assert jaccard(shingles(one), shingles(other)) == pytest.approx(expected, abs=1e-12)
    assert jaccard(shingles("ab"), shingles("ab")) == 1
    assert jaccard(shingles("ab"), shingles("ac")) == 0


@pytest.mark.parametrize(
    ("one", "other", "plain", "loose"),
    [
        ("Hello  World", "hello world", True, True),
        ("Hello, world!", "hello world", False, True),
        ("3.5 kg", "35 kg", False, False),
        ("what is 3+4?", "what is 3-4?", False, False),
        ("what is 3 + 4", "what is 3 / 4", False, False),
        ("???", "!!!", False, False),
        ("cafe\u0301", "caf\u00e9", True, True),
    ],
)
def test_keys_keep_what_has_meaning(one, other, plain, loose):
    assert (normalised_text(one) == normalised_text(other)) is plain
    assert (text_without_punctuation(one) == text_without_punctuation(other)) is loose


def test_rows_with_another_system_prompt_are_no_copies(tmp_path):
    def chat(n: int, system: str) -> dict[str, object]:
        turns = [("system", system), ("user", f"hello number {n}"), ("assistant", f"{system} {n}")]
        return {"messages": [{"role": r, "content": t} for r, t in turns]}

    train = [chat(n, "say it in French") for n in range(10)]
    test = [chat(n, "say it in German") for n in range(10)]
    assert len(load(write(tmp_path, train, test)).cases) == 10


def test_dev_copies_are_left_out_and_counted(tmp_path):
    rng = random.Random(2)
    train, test = rows(rng, 60), rows(rng, 20)
    task = write(tmp_path, train, test)
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, [test[0], *rows(rng, 5)])))
    data = task.data.model_copy(update={"dev": "d.jsonl"})
    got = load(task.model_copy(update={"data": data}).at(tmp_path))
    assert len(got.dev) == 5
    assert got.excluded == {"dev row that is also elsewhere": 1}


def test_rows_that_follow_one_template_are_not_one_group():
    names = [f"{first}{last}" for first in ("Ann", "Bob", "Cid", "Dee") for last in range(100, 150)]
    frame = "reported that the parcel which was sent last week has still not arrived at the office"
    texts = [f"Customer {name} {frame} in the main street" for name in names]
    answers = [f"We are sorry, {name}, {frame}; a new one is on its way" for name in names]
    groups = UnionFind(len(names))
    for one, other, _ in near_copy_pairs(texts, answers):
        groups.join(one, other)
    sizes = Counter(groups.find(row) for row in range(len(names)))
    assert 1 < max(sizes.values()) <= MOST_EDITED_COPIES


@pytest.mark.parametrize(("policy", "named"), [("stop", True), ("draft", False)])
def test_no_option_is_advised_that_the_command_lacks(tmp_path, policy, named):
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"input": "one text", "output": "a"}\n')
    task = Task(data=Data(train="train.jsonl", test="test.jsonl")).at(tmp_path)
    with pytest.raises(DataError) as caught:
        load(task, policy)
    assert ("--bad-rows" in caught.value.fix) == named
