"""`tuneworthy init` proposes `group` and `time`, and takes only the columns that the user names."""

import csv
import io
import json
import sys

import pytest

from tuneworthy.cli._column_question import column_question
from tuneworthy.cli._frame import run
from tuneworthy.rows.dependence import dependent_columns, proposal_sentences
from tuneworthy.rows.load import load
from tuneworthy.rows.recognising import recognise
from tuneworthy.rows.table_columns import Choice
from tuneworthy.rows.taskfile import read_task

TEAMS = ("billing", "delivery", "account")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mail(k):
    return {"message": f"message {k} about a parcel", "team": TEAMS[k * 7 % 11 % 3],
            "customer": f"C{k // 3:03}", "written": f"2026-01-{1 + k // 3:02}",
            "priority": "high" if k % 2 else "low"}  # fmt: skip


def write(path, rows):
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def cases_of(folder):
    return load(read_task(folder / "task.yaml")).cases


def columns(*, n=60, message=lambda k: f"message {k}", team=lambda k: TEAMS[k % 3], **made):
    made = {"message": message, "team": team, **made}
    sample = [{name: make(k) for name, make in made.items()} for k in range(n)]
    free = [name for name in made if name not in {"message", "team"}]
    return dependent_columns(sample, free, ["message"], "team")


def test_both_are_proposed_with_what_they_do_and_neither_is_taken(here, capsys):
    write(here / "mails.csv", [mail(k) for k in range(60)])
    assert run(["init", "mails.csv"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "`customer` repeats, as ids do: with --group COLUMN rows of one `customer`" in told
    assert "`written` holds dates: with --time COLUMN" in told
    draft = (here / "task.yaml").read_text()
    comments = " ".join(line.strip(" #") for line in draft.splitlines() if line.startswith("  #"))
    assert (
        "the interval is wider, and honest. Without it each row counts as independent" in comments
    )
    assert "fewer rows count, so the interval is wider" in comments
    assert all(case.group is None and case.time is None for case in cases_of(here))
    assert cases_of(here)[0].meta["customer"] == "C000"


def test_named_columns_become_group_and_time_and_are_proposed_no_more(here, capsys):
    write(here / "mails.csv", [mail(k) for k in range(60)])
    assert run(["init", "mails.csv", "--group", "Customer", "--time", "written"]) == 0
    told = capsys.readouterr().err
    assert "  group         `customer`" in told
    assert "repeats, as ids do" not in told + (here / "task.yaml").read_text()
    first = cases_of(here)[0]
    assert (first.group, first.time, first.meta) == ("C000", "2026-01-01", {"priority": "low"})
    assert run(["init", "mails.csv", "--group", "nobody", "--force"]) == 2
    assert "no column has this name" in capsys.readouterr().err


def test_rows_in_our_own_form_stay_where_they_lie_until_a_column_is_named(here, capsys):
    rows = [{"input": one["message"], "output": one["team"], "customer": one["customer"]}
            for one in map(mail, range(60))]  # fmt: skip
    write(here / "rows.csv", rows)
    assert run(["init", "rows.csv"]) == 0
    assert "`customer` repeats" in capsys.readouterr().err
    assert "`customer` repeats" in (here / "task.yaml").read_text()
    assert not (here / "task.rows.jsonl").exists()
    assert run(["init", "rows.csv", "--group", "customer", "--force"]) == 0
    made = [json.loads(line) for line in (here / "task.rows.jsonl").read_text().splitlines()]
    assert made[3]["group"] == "C001"


def test_rows_that_have_a_group_get_no_other_proposal(here, capsys):
    rows = [{**mail(k), "group": f"g{k // 2}"} for k in range(60)]
    write(here / "mails.csv", rows)
    assert run(["init", "mails.csv"]) == 0
    assert "repeats, as ids do" not in capsys.readouterr().err
    assert cases_of(here)[0].group == "g0"


def test_a_file_of_another_tool_has_its_own_columns_and_the_option_is_not_passed_over(here, capsys):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": turns, "customer": f"C{k // 3}"} for k in range(30)]
    (here / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["init", "chats.jsonl", "--group", "customer"]) == 2
    assert "its form fixes this column" in capsys.readouterr().err
    assert run(["init", "chats.jsonl", "--time", "written"]) == 2
    assert "no column has this name" in capsys.readouterr().err


def test_a_terminal_says_it_and_takes_a_reply(here, monkeypatch):
    write(here / "mails.csv", [mail(k) for k in range(60)])
    for name in ("stdin", "stderr"):
        shown = io.StringIO("group=customer time=written\n" if name == "stdin" else "")
        monkeypatch.setattr(shown, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, name, shown)
    found = recognise(here / "mails.csv", Choice(), column_question())
    assert found.roles.own == {"group": "customer", "time": "written"}
    assert "with group=COLUMN rows of one `customer`" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("customer", lambda k: f"Firm {k // 4}"),  # a name says it
        ("customerId", lambda k: k // 4),
        ("doc_id", lambda k: float(k // 2)),
        ("Gespräch", lambda k: k // 20),
        ("ref", lambda k: f"K-{k // 3:03}"),  # or codes of one shape
    ],
)
def test_ids_and_names_that_repeat_may_be_groups(name, make):
    assert columns(**{name: make}) == {"group": (name,)}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("priority", lambda k: k % 3),  # labels
        ("customer_type", lambda k: f"type {k % 2}"),
        ("version", lambda k: f"v{k % 4}"),
        ("customer", lambda k: f"C{k}"),  # each once
        ("customer", lambda k: "C1"),  # one value
        ("customer", lambda k: f"C{k // 2}" if k < 8 else None),  # mostly empty
        ("customer", lambda k: f"C{k // 2}" if k < 4 else f"C{k}"),  # hardly any repeats
        ("customer", lambda k: f"{k // 4} " + "long" * 30),
        ("customer", lambda k: [k // 4]),
        ("team_id", lambda k: k % 3),  # a number of each label
    ],
)
def test_labels_and_texts_are_no_groups(name, make):
    assert columns(**{name: make}) == {}


def test_a_number_of_each_input_ties_no_rows():
    assert columns(message=lambda k: f"message {k // 2}", question_id=lambda k: f"q{k // 2}") == {}


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda k: f"2026-02-{1 + k % 28:02}", True),
        (lambda k: f"2026-02-{1 + k % 28:02}T08:00:00Z", True),
        (lambda k: "2026-02-01", False),
        (lambda k: f"2026-02-{1 + k % 28:02}" if k else None, False),
        (lambda k: f"2026-02-{25 + k % 9}", False),  # 30 February
        (lambda k: f"{1 + k % 28:02}.02.2026", False),
    ],
)
def test_dates_of_every_row_may_be_times(make, found):
    assert columns(created=make) == ({"time": ("created",)} if found else {})


def test_of_several_columns_the_largest_groups_come_first_and_the_user_names_one():
    likely = columns(conversation=lambda k: f"t{k // 2}", customer=lambda k: f"c{k // 6}")
    assert likely == {"group": ("customer", "conversation")}
    assert (
        "`customer` and `conversation` repeat, as ids do: name the one"
        in (proposal_sentences(likely)[0])
    )
