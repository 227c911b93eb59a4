"""From the files people have to a first number: each screen as it stands, at 80 columns."""

import json
import os
import random
import re
from pathlib import Path

import pytest

from tuneworthy.cli._frame import run

GOLDEN = Path(__file__).parents[2] / "golden" / "first-hour"
WORDS = {
    "billing": ["invoice", "refund", "charge", "receipt", "tax"],
    "delivery": ["parcel", "courier", "tracking", "doorstep", "box"],
    "account": ["password", "login", "profile", "username", "settings"],
}
PLACES = ["Oslo", "Bergen", "Narvik", "Tromso", "Hamar", "Molde", "Bodo", "Skien"]


def drawn(count):
    """Yield (number, text, team) of tickets that differ."""
    draw = random.Random(3)
    for k in range(count):
        team = list(WORDS)[k % 3]
        words = draw.sample(WORDS[team], 2)
        other = draw.choice([word for words in WORDS.values() for word in words])
        city, street = draw.choice(PLACES), draw.randint(1000, 9999)
        text = f"{words[0]} {city} {street}: the {words[1]} and {other} {draw.randint(10, 99)}"
        yield k, text, team


def odd_table(folder):
    """Write a table with odd column names and the answers of what runs today."""
    draw = random.Random(5)
    lines = ["Ticket No;Customer message;Routed team;bot v2 answer;Handled on"]
    for k, text, team in drawn(150):
        said = team if draw.random() < 0.7 else draw.choice(list(WORDS))
        lines.append(f"{9000 + k};{text};{team};{said};2026-01-{k % 28 + 1:02d}")
    lines += ["9998;;billing;billing;2026-02-01", "9999;a parcel;;delivery;2026-02-01"]
    (folder / "tickets export.csv").write_text("\n".join(lines) + "\n")
    return "tickets export.csv"


def chat_file(folder):
    """Write an OpenAI chat file in which one conversation has no answer yet."""
    rows = []
    for _, text, team in drawn(150):
        turns = [("system", "Name the team."), ("user", text), ("assistant", team)]
        rows.append({"messages": [{"role": role, "content": said} for role, said in turns]})
    rows[7]["messages"].pop()
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "chat.jsonl"


def answered(folder):
    """Write questions with several right answers, and the sentences of two systems."""
    draw = random.Random(7)
    table = [["question", "answers", "gpt-4o", "haiku"]]
    for k in range(90):
        place = PLACES[k % 8]
        asked = f"Where is depot {draw.randint(100, 999)} of line {draw.randint(10, 99)}?"
        right = [place, f"{place} harbour"]
        says = [f"It stands in {draw.choice([place, place, place, other])}, as far as I know."
                for other in draw.sample(PLACES, 2)]  # fmt: skip
        table.append([asked, right, *says])
    rows = [dict(zip(table[0], cells, strict=True)) for cells in table[1:]]
    (folder / "depots.json").write_text(json.dumps(rows))
    return "depots.json"


def plain(text):
    """Return a screen without what is measured in time."""
    text = re.sub(r" +<?[\d.,]+ (ms|s|min)\b", " TIME", text)
    return re.sub(r"[0-9a-f]{12,64}", "HASH", text)


ARMS = {odd_table: "present, majority, tfidf", chat_file: "majority, tfidf",
        answered: "answers, majority"}  # fmt: skip


@pytest.mark.parametrize("make", ARMS)
def test_a_first_number_without_rewriting_a_file(make, tmp_path, monkeypatch, capsys):
    """The core install alone; WRITE_GOLDEN=1 writes the screens where they changed for a reason."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    name = make(tmp_path)
    before = (tmp_path / name).read_bytes()
    assert run(["init", name]) == 0
    told = capsys.readouterr()
    screens = [f"$ tuneworthy init {name!r}", told.out + told.err]
    task = tmp_path / "task.yaml"
    task.write_text(f"{task.read_text()}arms: [{ARMS[make]}]\n")
    assert run(["check"]) == 0
    screens += ["$ tuneworthy check", capsys.readouterr().out]
    assert run(["run", "--no-progress"]) in {0, 3, 4}
    said, ladder, _ = capsys.readouterr().out.partition("\n\n  ladder")
    assert ladder
    screens += ["$ tuneworthy run", said + "\n"]  # the ladder's lines break by measured times
    assert (tmp_path / name).read_bytes() == before
    check_golden(make.__name__, plain("\n".join(screens)))


def check_golden(name, found):
    golden = GOLDEN / f"{name}.txt"
    assert max(map(len, found.splitlines())) <= 80
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


def test_the_chat_file_and_a_hosted_model_have_a_price(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert run(["init", chat_file(tmp_path)]) == 0
    task = tmp_path / "task.yaml"
    prices = "economics: {prices: {house-model: {in: 0.4, out: 1.6, train: 3.0}}}"
    task.write_text(f"{task.read_text()}model: openai:house-model\n{prices}\n")
    capsys.readouterr()
    assert run(["plan"]) == 0
    check_golden("chat_file_priced", plain(f"$ tuneworthy plan\n{capsys.readouterr().out}"))
