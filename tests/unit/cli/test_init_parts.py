"""`tuneworthy init` reads an input of two columns, several labels of a cell, and a file's split."""

import io
import json
import shlex
import sys

import pytest

from tuneworthy.cli._column_question import column_question
from tuneworthy.cli._frame import run
from tuneworthy.rows.column_roles import propose_roles
from tuneworthy.rows.infer import near_labels
from tuneworthy.rows.recognising import recognise
from tuneworthy.rows.table_columns import Choice, likely_mark
from tuneworthy.rows.taskfile import read_task

QUEUES = ("Faktury", "Dostawa", "Konto")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def table(path, columns, rows):
    cells = [columns, *([str(row[name]) for name in columns] for row in rows)]
    path.write_text("".join("\t".join(each) + "\n" for each in cells), "utf-8")


def mails(n=45):
    return [{"subject": f"Zamówienie {k}" if k % 5 != 2 else "", "body": f"Proszę o odpowiedź {k}",
             "queue": QUEUES[k % 3], "bot": QUEUES[k % 3 if k % 4 else (k + 1) % 3],
             "fold": "train" if k % 3 else "test"} for k in range(n)]  # fmt: skip


def test_two_columns_are_joined_into_one_input(here, capsys):
    table(here / "mails.tsv", ["subject", "body", "queue", "bot"], mails())
    assert run(["init", "mails.tsv"]) == 0
    told = capsys.readouterr().err
    assert "more text is in `subject`; to join them: --input subject --input body" in told
    given = ["init", "mails.tsv", "--input", "subject", "--input", "Body", "--force"]
    assert run(given) == 0
    assert "input         `subject`, `body`, joined" in capsys.readouterr().err
    rows = rows_of(here / "task.rows.jsonl")
    assert rows[1]["input"] == "subject: Zamówienie 1\nbody: Proszę o odpowiedź 1"
    assert rows[2]["input"] == "body: Proszę o odpowiedź 2"  # an empty cell is left out
    assert not {"subject", "body"} & rows[1].get("meta", {}).keys()
    assert run([*given[:-2], "nothing", "--force"]) == 2
    assert "no column has this name" in capsys.readouterr().err


def typed(monkeypatch, *answers):
    for name in ("stdin", "stderr"):
        shown = io.StringIO("".join(f"{a}\n" for a in answers) if name == "stdin" else "")
        monkeypatch.setattr(shown, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, name, shown)
    return sys.stderr


@pytest.mark.parametrize("answers", [
    ["input=subject input=body"], ["n", "body", "subject", "queue", "bot"], ["n", "2", "1", "", ""],
])  # fmt: skip
def test_a_terminal_asks_for_text_to_join(here, monkeypatch, answers):
    table(here / "mails.tsv", ["subject", "body", "queue", "bot"], mails())
    shown = typed(monkeypatch, *answers)
    found = recognise(here / "mails.tsv", Choice(), column_question())
    assert sorted(found.roles.inputs) == ["body", "subject"]
    assert found.roles.output == "queue"
    assert "to join them: input=" in shown.getvalue()


def test_a_split_of_the_file_is_kept(here, capsys):
    table(here / "mails.tsv", ["body", "queue", "bot", "fold"], mails())
    assert run(["init", "mails.tsv"]) == 0
    assert "`fold` says train and test" in capsys.readouterr().err
    assert run(["init", "mails.tsv", "--split", "fold", "--force"]) == 0
    assert "45 rows with a right answer: 30 train, 15 test" in capsys.readouterr().err
    task = read_task(here / "task.yaml")
    assert (task.data.train, task.data.test) == ("task.train.jsonl", "task.test.jsonl")
    assert "15 rows show differences" in (here / "task.yaml").read_text("utf-8")
    assert len(rows_of(here / "task.test.jsonl")) == 15
    assert len(rows_of(here / "task.present.jsonl")) == 45
    assert run(["check"]) == 0


@pytest.mark.parametrize(("values", "code", "told"), [
    (["train", "validation"], 0, "train, 15 dev"),
    (["train", "train"], 5, "no rows to learn from, or none to score"),
    (["A", "B"], 5, "neither train, test nor dev under `fold`"),
])  # fmt: skip
def test_a_split_without_test_rows_takes_its_dev_rows_or_is_refused(
    here, capsys, values, code, told
):
    rows = [{**row, "fold": values[row["fold"] == "test"]} for row in mails()]
    table(here / "mails.tsv", ["body", "queue", "fold"], rows)
    assert run(["init", "mails.tsv", "--split", "fold"]) == code
    assert told in capsys.readouterr().err
    names = {one.name for one in here.iterdir()}
    made = {"task.yaml", "task.schema.json", "task.train.jsonl", "task.dev.jsonl"}
    assert names == {"mails.tsv"} | (made if code == 0 else set())


def test_a_system_called_train_does_not_overwrite_the_part(here):
    rows = [{**row, "test": row["bot"]} for row in mails()]
    table(here / "mails.tsv", ["body", "queue", "test", "fold"], rows)
    assert run(["init", "mails.tsv", "--split", "fold", "--answers", "test=test"]) == 0
    assert len(rows_of(here / "task.test.jsonl")) == 15
    assert len(rows_of(here / "task.test-answers.jsonl")) == 45


def tagged(n=60):
    tags = ("błąd", "płatność", "błąd; pilne", "pilne;płatność")
    return [{"body": f"Zgłoszenie numer {k}", "tags": tags[k % 4], "ki": tags[(k + k % 2) % 4]}
            for k in range(n)]  # fmt: skip


def test_several_labels_of_one_cell_are_a_set(here, capsys):
    table(here / "t.tsv", ["body", "tags", "ki"], tagged())
    assert run(["init", "t.tsv", "--output", "tags"]) == 0
    assert "some hold several labels, parted by `;`" in capsys.readouterr().err
    assert run(["init", "t.tsv", "--output", "tags", "--labels", ";", "--force"]) == 0
    assert rows_of(here / "task.rows.jsonl")[2]["output"] == ["błąd", "pilne"]
    task = read_task(here / "task.yaml")
    assert (task.output.type, task.success.metric) == ("json", "fields_f1")
    assert run(["check"]) == 0


@pytest.mark.parametrize(("cells", "mark"), [
    (["a;b", "a", "b", "a;b"], ";"), (["a, b", "b", "a", "a, b", "b, a"], ","),
    (["Smith, John", "Doe, Jane", "Roe, Jim"], ""), (["a", "b", "a"], ""), ([1, 2, 1], ""),
    (["cats, dogs", "cats, dogs", "cats, dogs"], ""),
])  # fmt: skip
def test_a_mark_parts_labels_only_where_each_stands_in_other_cells(cells, mark):
    assert likely_mark(cells) == mark


def test_near_labels_are_slips_and_no_other_labels():
    counts = {"delivery": 90, "delivry": 2, "tier 1": 80, "tier 2": 3, "cat": 50, "cut": 1,
              "billing": 40, "filling": 30}  # fmt: skip
    assert near_labels(counts) == {"delivry": "delivery"}
    assert near_labels({"Zwrot": 35, "Zwro": 2}) == {"Zwro": "Zwrot"}
    assert near_labels({f"label {k}": 1 for k in range(400)}) == {}


def test_a_misspelt_label_is_pointed_out(here, capsys):
    rows = mails(90)
    rows[4]["queue"] = "Dostwa"
    table(here / "mails.tsv", ["body", "queue"], rows)
    assert run(["init", "mails.tsv"]) == 0
    assert "`Dostwa` (1 row) is spelt almost like `Dostawa` (29)" in capsys.readouterr().err
    assert run(["check"]) == 0
    assert "1 label is spelt almost like a far more frequent one" in capsys.readouterr().out
    text = (here / "task.yaml").read_text("utf-8")
    listed = "output:\n  labels: [Faktury, Dostawa, Konto]"
    (here / "task.yaml").write_text(text.replace("output:", listed, 1), "utf-8")
    assert run(["check"]) == 5
    assert "write `Dostawa`" in capsys.readouterr().err


def test_a_column_of_numbers_is_no_text_to_join():
    rows = [{"body": f"mail {k}", "title": k, "queue": QUEUES[k % 3]} for k in range(30)]
    assert propose_roles(rows, Choice()).texts == ()
    named = [{**row, "Temat": f"pęknięty ekran {row['title']}", "on": "2026-01-31 10:00 +01"}
             for row in rows]  # fmt: skip
    assert propose_roles(named, Choice()).texts == (
        "Temat",
    )  # of several words, whatever its name is


def test_a_column_with_one_value_is_no_right_answer_by_itself():
    rows = [{"prompt_text": f"what is {k}?", "kind": "x"} for k in range(30)]
    assert propose_roles(rows, Choice()) == "output"
    assert propose_roles(
        [{**row, "kind": row["prompt_text"][-2:]} for row in rows], Choice()
    ).output


def logs(folder):
    asked = [f"In which year was event {k}?" for k in range(40)]
    years = [("1492", "1815", "1969")[k % 3] for k in range(40)]
    right = [f'["{year}", "the year {year}"]'.replace('"', '""') for year in years]
    rows = zip(range(40), asked, right, strict=True)
    gold = ["n°,question,expected answers", *(f'{k},{text},"{list_}"' for k, text, list_ in rows)]
    (folder / "truth.csv").write_text("\n".join(gold))
    said = [f"In {year}, I think." if k % 3 else "unknown" for k, year in enumerate(years)]
    old = ["n°;bot says;took", *(f"{k};{text};{k}" for k, text in enumerate(said))]
    (folder / "old bot.csv").write_text("\n".join(old))
    new = [{"n°": k, "text": y if k % 4 else "unknown"} for k, y in enumerate(years)]
    (folder / "new bot.json").write_text(json.dumps(new, ensure_ascii=False))
    return ["old bot.csv", "new bot.json"]


def test_logs_of_ids_and_one_text_are_answers_in_any_form(here, capsys):
    both = logs(here)
    assert run(["init", "truth.csv", *both]) == 0
    told = capsys.readouterr().err
    assert "from old bot.csv: answer `bot says`, id `n°`" in told
    assert "from new bot.json: answer `text`, id `n°`" in told
    assert rows_of(here / "task.new-bot.jsonl")[1] == {"id": "1", "answer": "1815"}
    assert set(read_task(here / "task.yaml").answers) == {"old-bot", "new-bot"}
    offered = next(line for line in told.splitlines() if "tuneworthy compare" in line)
    assert run(shlex.split(offered)[1:]) == 0
    assert "A task.old-bot.jsonl" in " ".join(capsys.readouterr().out.split())
    assert run(["check"]) == 0
    capsys.readouterr()
    assert run(["compare", *both, "--gold", "truth.csv"]) == 0
    screen = " ".join(capsys.readouterr().out.split())
    assert "the answers from `bot says` and `text`" in screen
    assert "Answers are text, scored by contains" in screen
    assert "A old bot.csv" in screen
    assert ".65" in screen  # a list in a cell holds right answers, and a sentence one of them


def test_the_splits_of_a_saved_data_set_are_kept(here, capsys):
    arrow = pytest.importorskip("pyarrow")
    (here / "set").mkdir()
    (here / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split, count in (("train", 36), ("test", 12)):
        place = here / "set" / split
        place.mkdir()
        (place / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
        rows = [{"text": f"mail {split} {k}", "label": QUEUES[k % 3]} for k in range(count)]
        rows = arrow.Table.from_pylist(rows)
        with arrow.ipc.new_stream(str(place / "data.arrow"), rows.schema) as out:
            out.write_table(rows)
    assert run(["init", "set"]) == 0
    assert "train + test as one (--split split: apart)" in capsys.readouterr().err
    assert run(["init", "set", "--split", "split", "--force"]) == 0
    assert "48 rows with a right answer: 36 train, 12 test" in capsys.readouterr().err
    assert rows_of(here / "task.test.jsonl")[0]["id"] == "test:1"


def batch(folder, name, answers):
    """Write the output file of a batch whose second request failed."""
    rows = []
    for k, text in enumerate(answers):
        usage = {"prompt_tokens": 20 + k, "completion_tokens": 2, "total_tokens": 22 + k}
        body = {"object": "chat.completion", "usage": usage, "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}}]}  # fmt: skip
        response = {"status_code": 200, "request_id": "r", "body": body}
        rows.append({"id": f"batch_req_{k}", "custom_id": f"q{k}", "response": response,
                     "error": None})  # fmt: skip
    rows[1] |= {"response": None, "error": {"code": "batch_expired"}}
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))


def test_the_output_of_a_batch_is_a_log_of_answers(here, capsys):
    right = [QUEUES[k % 3] for k in range(40)]
    gold = [{"id": f"q{k}", "input": f"mail {k}", "output": text} for k, text in enumerate(right)]
    (here / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    batch(here, "a.jsonl", [text if k % 5 else "?" for k, text in enumerate(right)])
    batch(here, "b.jsonl", [text if k % 4 else "?" for k, text in enumerate(right)])
    assert run(["compare", "a.jsonl", "b.jsonl", "--gold", "gold.jsonl"]) == 0
    assert "A leads by 5.1 points" in capsys.readouterr().out  # 31 and 29 of 39 answered
    assert run(["init", "gold.jsonl", "a.jsonl", "b.jsonl"]) == 0
    said = rows_of(here / "task.a.jsonl")
    assert len(said) == 39
    assert said[-1] == {"id": "q0", "answer": "?", "tokens_in": 20, "tokens_out": 2}
    assert run(["check"]) == 0


def test_a_broken_array_is_refused(here, capsys):
    both = logs(here)
    (here / both[1]).write_text('[{"n°": 1, "text": "1815"}, {')
    assert run(["compare", *both, "--gold", "truth.csv"]) == 5
    assert "the document ends or breaks here" in capsys.readouterr().err


def test_responses_alone_ask_for_the_file_of_rows(here, capsys):
    response = {"body": {"choices": [{"message": {"role": "assistant", "content": "Konto"}}]}}
    rows = [{"custom_id": f"q{k}", "response": response, "error": None} for k in range(3)]
    as_jsonl(here / "batch.jsonl", rows)
    assert run(["init", "batch.jsonl"]) == 5
    assert "tuneworthy init ROWS --answers NAME=batch.jsonl" in capsys.readouterr().err


# A folder as on the hub: its files are named by their split.


def hub_rows(part, n):
    return [{"text": f"{part} message {k} of a customer", "label": QUEUES[k % 3]} for k in range(n)]


def as_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(path, rows):
    pytest.importorskip("pyarrow")
    from pyarrow import Table
    from pyarrow.parquet import write_table

    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("write", "names"),
    [
        (as_parquet, ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
                      "data/test-00000-of-00001.parquet")),
        (as_parquet, ("train/0000.parquet", "train/0001.parquet", "test/0000.parquet")),
        (as_jsonl, ("train_a.jsonl", "train_b.jsonl", "test.jsonl")),
    ],
)  # fmt: skip
def test_the_files_of_a_folder_say_train_and_test_by_name(here, capsys, write, names):
    rows = [*hub_rows("first", 900), *hub_rows("second", 300)]
    for name, found in zip(names, (rows[:900], rows[900:], hub_rows("new", 60)), strict=True):
        write(here / "mails" / name, found)
    (here / "mails" / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    assert run(["init", "mails"]) == 0
    told = capsys.readouterr().err
    assert "mails: read as a data set folder, train and test by name" in told
    assert "1,260 rows with a right answer: 1,200 train, 60 test" in told
    task = read_task(here / "task.yaml")
    assert (task.data.train, task.data.test) == ("task.train.jsonl", "task.test.jsonl")
    assert len(rows_of(here / "task.train.jsonl")) == 1200
    assert all(row["input"].startswith("new") for row in rows_of(here / "task.test.jsonl"))


def test_chat_rows_of_a_folder_keep_their_split(here, capsys):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for part, n in (("train", 40), ("validation", 20)):
        rows = [{"messages": [{**turns[0], "content": f"{part} question {k}"}, turns[1]]}
                for k in range(n)]  # fmt: skip
        as_jsonl(here / "chat" / f"{part}.jsonl", rows)
    assert run(["init", "chat"]) == 0
    assert "60 rows with a right answer: 40 train, 20 dev" in capsys.readouterr().err
    assert read_task(here / "task.yaml").data.test == "task.dev.jsonl"


def test_a_folder_of_one_split_is_one_file_of_rows(here, capsys):
    as_jsonl(here / "mails" / "train.jsonl", hub_rows("some", 40))
    assert run(["init", "mails"]) == 0
    assert read_task(here / "task.yaml").data.file == "task.rows.jsonl"
    assert "meta" not in rows_of(here / "task.rows.jsonl")[0]
    (here / "other").mkdir()
    assert run(["init", "other", "--force"]) == 5
    assert "or its files by their split (train-*.parquet" in capsys.readouterr().err
