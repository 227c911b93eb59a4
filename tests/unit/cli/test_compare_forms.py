"""One comparison, whatever form its files have: the same rows give the same result."""

import json

import pytest
from tests import studies

from tuneworthy.cli._frame import run

LABELS = ("refund", "delivery", "invoice")
GOLD = [{"id": f"r{n}", "input": f"How does case {n * 7919 % 997} go on?", "output": LABELS[n % 3]}
        for n in range(60)]  # fmt: skip
SAID = {"a": [LABELS[n % 3] if n % 5 else "?" for n in range(60)],
        "b": [LABELS[n % 3] if n % 10 else "?" for n in range(60)]}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies.lines(tmp_path / "gold.jsonl", GOLD)
    for name, said in SAID.items():
        rows = [{"id": f"r{n}", "answer": one} for n, one in enumerate(said)]
        studies.lines(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


def means(capsys, *given):
    capsys.readouterr()
    assert run(["compare", *map(str, given), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return round(found["a"]["score"]["mean"], 3), round(found["b"]["score"]["mean"], 3), found


def sheet(path, rows):
    """Write rows as CSV, JSON Lines, Excel or Parquet, by the suffix."""
    if path.suffix == ".jsonl":
        return studies.lines(path, rows)
    if path.suffix == ".csv":
        import csv

        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
    elif path.suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for cells in [list(rows[0]), *(list(row.values()) for row in rows)]:
            book.active.append(cells)
        book.save(path)
    else:
        arrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), path)
    return None


FORMS = (".csv", ".jsonl", ".xlsx", ".parquet")


@pytest.mark.parametrize("suffix", FORMS)
def test_zero_and_false_are_answers(here, suffix, capsys):
    for right, wrong in ((0, 1), (False, True)):
        rows = [{"text": row["input"], "gold": right if n % 2 else wrong, "old": right,
                 "new": right if n % 2 or n % 3 else wrong}
                for n, row in enumerate(GOLD)]  # fmt: skip
        sheet(here / f"z{suffix}", rows)
        found = means(capsys, f"z{suffix}", "--a", "old", "--b", "new", "--gold-column", "gold")
        assert found[:2] == (0.5, 0.667)


@pytest.mark.parametrize("suffix", FORMS)
def test_a_list_in_a_cell_is_a_list_in_every_form(here, suffix, capsys):
    rows = [{**row, "accepted": json.dumps(["?", "other"])} for row in GOLD]
    sheet(here / f"rows{suffix}", rows)
    assert means(capsys, "a.jsonl", "b.jsonl", "--gold", f"rows{suffix}")[:2] == (1, 1)


@pytest.mark.parametrize("suffix", FORMS)
def test_whole_numbers_are_equal_however_they_are_written(here, suffix, capsys):
    rows = [{"text": row["input"], "gold": n % 4, "old": 3, "new": float(n % 4) if n else None}
            for n, row in enumerate(GOLD)]  # fmt: skip
    sheet(here / f"n{suffix}", rows)
    found = means(capsys, f"n{suffix}", "--a", "old", "--b", "new", "--gold-column", "gold")
    assert found[:2] == (0.25, 0.983)


def test_an_empty_answer_is_wrong_on_every_way(here, capsys):
    rows = [{"text": row["input"], "label": row["output"], "gpt_pred": a, "llama_pred": b}
            for row, a, b in zip(GOLD, SAID["a"], SAID["b"], strict=True)]  # fmt: skip
    for row in rows[1:20:2]:
        row["llama_pred"] = ""
    sheet(here / "t.csv", rows)
    pair = "--a", "gpt_pred", "--b", "llama_pred", "--gold-column", "label"
    first = means(capsys, "t.csv", *pair)[:2]
    assert run(["init", "t.csv"]) == 0
    logs = "task.gpt_pred.jsonl", "task.llama_pred.jsonl"
    assert means(capsys, *logs, "--gold", "task.rows.jsonl")[:2] == first == (0.8, 0.733)
    empty = [{"id": row["id"], "answer": b["llama_pred"]}
             for row, b in zip(GOLD, rows, strict=True)]  # fmt: skip
    for suffix in FORMS:
        sheet(here / f"e{suffix}", empty)
        found = means(capsys, "a.jsonl", f"e{suffix}", "--gold", "gold.jsonl")
        assert found[:2] == first
        assert any("10 answers are empty" in note for note in found[2]["notes"])
    assert run(["init", "gold.jsonl", "--answers", "e=e.csv"]) == 2  # a file stands there
    assert run(["init", "gold.jsonl", "--answers", "e=e.csv", "--force"]) == 0
    assert run(["check"]) == 0


def test_lists_under_our_names_are_alternatives(here, capsys):
    studies.lines(here / "rows.jsonl", [{**row, "output": [row["output"], "?"]} for row in GOLD])
    assert means(capsys, "a.jsonl", "b.jsonl", "--gold", "rows.jsonl")[:2] == (1, 1)


def test_a_document_on_one_line_is_read_by_each_command(here, capsys):
    for name in ("gold", "a", "b"):
        rows = [json.loads(line) for line in (here / f"{name}.jsonl").read_text().splitlines()]
        (here / f"{name}.json").write_text(json.dumps({"rows": rows}))
    assert means(capsys, "a.json", "b.json", "--gold", "gold.json")[:2] == (0.8, 0.9)
    assert run(["init", "gold.json", "--answers", "B=b.json"]) == 0
    assert run(["compare", "a.json", "b.json"]) == 2
    assert "--gold ROWS" in capsys.readouterr().err


def test_ids_are_read_without_their_spaces_and_repeats_by_any_id(here, capsys):
    studies.lines(here / "rows.jsonl", [{**row, "id": f"{row['id']} "} for row in GOLD])
    assert means(capsys, "a.jsonl", "b.jsonl", "--gold", "rows.jsonl")[:2] == (0.8, 0.9)
    named = [{"qid": row["id"], "question": row["input"], "label": row["output"]} for row in GOLD]
    studies.lines(here / "named.jsonl", named)
    twice = [{"qid": f"r{n}", "response": one if k == 1 else "?", "repeat": k}
             for n, one in enumerate(SAID["b"]) for k in (1, 2)]  # fmt: skip
    studies.lines(here / "twice.jsonl", twice)
    once = [{"qid": f"r{n}", "response": one} for n, one in enumerate(SAID["a"])]
    studies.lines(here / "once.jsonl", once)
    found = means(capsys, "once.jsonl", "twice.jsonl", "--gold", "named.jsonl")
    assert found[:2] == (0.8, 0.45)
    assert any("2 times" in note for note in found[2]["notes"])
    assert any(" | " in case["b"] for case in found[2]["cases"])


def test_a_table_needs_no_ids(here, capsys):
    rows = [{"id": row["id"], "text": row["input"], "gold": row["output"], "a": a, "b": b}
            for row, a, b in zip(GOLD, *SAID.values(), strict=True)]  # fmt: skip
    pair = "--a", "a", "--b", "b", "--gold-column", "gold"
    for change in ("", " ", 3.5, "x" * 500):
        studies.lines(here / "t.jsonl", [{**rows[0], "id": change}, *rows[1:]])
        assert means(capsys, "t.jsonl", *pair)[:2] == (0.8, 0.9)
    studies.lines(here / "t.jsonl", [{**rows[0], "gold": None}, *rows[1:]])
    assert means(capsys, "t.jsonl", *pair)[2]["n"] == 59
    assert means(capsys, "t.jsonl", *pair, "--id-column", "text")[2]["n"] == 59
    assert run(["compare", "t.jsonl", *pair, "--id-column", "nothing"]) == 2
    assert run(["compare", "t.jsonl", *pair, "--answer-column", "a"]) == 2


def test_a_refusal_in_a_batch_counts_as_wrong_and_a_failed_request_is_left_out(here, capsys):
    def batch(name, said):
        rows = [{"custom_id": f"r{n}", "error": None, "response": {"status_code": 200, "body": {
            "choices": [{"message": {"content": one, "refusal": None if one else "no"}}]}}}
            for n, one in enumerate(said)]  # fmt: skip
        rows[7] |= {"response": None, "error": {"code": "batch_expired"}}
        studies.lines(here / name, rows)

    batch("x.jsonl", [None if n % 4 == 0 else one for n, one in enumerate(SAID["a"])])
    found = means(capsys, "x.jsonl", "b.jsonl", "--gold", "gold.jsonl")
    assert found[2]["n"] == 59
    right = [n for n in range(60) if n % 4 and n % 5 and n != 7]
    assert found[0] == round(len(right) / 59, 3)


def test_labels_with_a_point_stay_as_they_are(here, capsys):
    """Labels `1.0`, `2.0` and `2.5` keep their points: they are not all whole numbers."""
    labels = ("1.0", "2.0", "2.5")
    rows = [{"id": row["id"], "input": row["input"], "output": labels[n % 3]}
            for n, row in enumerate(GOLD)]  # fmt: skip
    sheet(here / "rows.csv", rows)
    for name, k in (("low", 2), ("all", 3)):
        sheet(here / f"{name}.csv", [{"id": f"r{n}", "answer": labels[n % 3 % k]}
                                     for n in range(60)])  # fmt: skip
    studies.lines(here / "float.jsonl", [{"id": f"r{n}", "answer": float(labels[n % 3])}
                                         for n in range(60)])  # fmt: skip
    assert means(capsys, "low.csv", "all.csv", "--gold", "rows.csv")[:2] == (0.667, 1)
    assert means(capsys, "float.jsonl", "all.csv", "--gold", "rows.csv")[:2] == (1, 1)
