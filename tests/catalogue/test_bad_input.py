"""The bad-input catalogue: every numbered case ends in its class, code and five-part message."""

from __future__ import annotations

import gzip
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.studies import MODEL

from tuneworthy.cli._frame import run
from tuneworthy.records.errors import DataError, SecurityError, TaskError, TuneworthyError
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.answers import read_answers
from tuneworthy.rows.lines import MAX_LINE
from tuneworthy.rows.load import Loaded, load
from tuneworthy.rows.taskfile import read_task

LIMIT_MB = 512


@dataclass(frozen=True)
class Refused:
    """A case that is refused: what is written, and what the message must say in which part."""

    id: str
    write: bytes | str | Callable[[Path], None]
    what: str
    where: str
    got: str
    fix: str
    file: str = "rows.jsonl"
    kind: type[TuneworthyError] = DataError


def row(n: int = 1, **more: object) -> str:
    return json.dumps({"input": f"question number {n}", "output": f"answer {n}", **more})


def rows(count: int = 5) -> str:
    return "".join(row(n) + "\n" for n in range(count))


def nothing(path: Path) -> None:
    return None


GOOD = rows(3)
DATA = [
    Refused("i1 missing file", nothing, "no such file", "rows.jsonl", "looked in", "path"),
    Refused("i2 folder", Path.mkdir, "folder", "rows.jsonl", "a folder", "name the file"),
    Refused("i3 empty file", "", "empty", "rows.jsonl", "0 bytes", "write rows"),
    Refused("i4 blank lines", "\n \n\t\n", "no rows", "rows.jsonl", "blank lines", "a line"),
    Refused("i6 utf16", GOOD.encode("utf-16"), "UTF-16", "rows.jsonl:1", "fffe", "iconv"),
    Refused("i6 utf32", GOOD.encode("utf-32"), "UTF-32", "rows.jsonl:1", "fffe0000", "iconv"),
    Refused("i6 utf16 unmarked", GOOD.encode("utf-16-le"), "UTF-16", "rows.jsonl:1", "", "iconv"),
    Refused("i7 latin1", GOOD.encode() + '{"input": "caf\xe9", "output": "x"}'.encode("latin-1"),
            "not UTF-8", "rows.jsonl:4:15", "0xe9", "UTF-8"),
    Refused("i8 nul", GOOD + '{"input": "a\0b", "output": "x"}\n', "NUL", "rows.jsonl:4:13",
            "x00", "remove"),
    Refused("i9 lone surrogate", GOOD + r'{"input": "a\ud800", "output": "x"}' + "\n", "surrogate",
            "rows.jsonl:4", "ud800", "remove"),
    Refused("i12 half a line", GOOD + '{"input": "a", "outp', "half a last line", "rows.jsonl:4",
            "outp", "copy it again"),
    Refused("i12 half a value", GOOD + '{"input": "a", "output": "b"', "half a last line",
            "rows.jsonl:4", "output", "copy it again"),
    Refused("i13 bad json", GOOD + '{"input" "a"}\n', "not JSON", "rows.jsonl:4:10", "input",
            "one whole JSON object"),
    Refused("i14 trailing comma", '{"input": "a", "output": "b",}\n' + GOOD, "trailing comma",
            "rows.jsonl:1:", "output", "remove the comma"),
    Refused("i14 single quotes", "{'input': 'a', 'output': 'b'}\n" + GOOD, "single quotes",
            "rows.jsonl:1:2", "input", "double quotes"),
    Refused("i14 comment", GOOD + "// more rows\n", "comment", "rows.jsonl:4:1", "more", "remove"),
    Refused("i14 comma between rows", row(1) + ",\n" + row(2) + "\n", "comma between rows",
            "rows.jsonl:1:", "answer 1", "remove the comma"),
    Refused("i15 array", json.dumps([json.loads(row(1)), json.loads(row(2))]), "JSON array",
            "rows.jsonl:1", "[", "rows.jsonl > rows.lines.jsonl"),
    Refused("i15 array over lines", "[\n" + row(1) + ",\n" + row(2) + "\n]\n", "JSON array",
            "rows.jsonl:1", "[", "rows.jsonl > rows.lines.jsonl"),
    Refused("i15 pretty object", json.dumps(json.loads(row(1)), indent=2), "spread over several",
            "rows.jsonl:1", "{", "rows.jsonl > rows.lines.jsonl"),
    Refused("i16 scalar row", GOOD + "17\n", "single value", "rows.jsonl:4", "17", "one object"),
    Refused("i16 list row", GOOD + '["a", "b"]\n', "a list", "rows.jsonl:4", "a", "one object"),
    Refused("i17 duplicate key", '{"input": "a", "input": "b", "output": "c"}\n' + GOOD,
            "duplicate key", "rows.jsonl:1", "input", "one of the two"),
    Refused("i17 duplicate key inside", '{"input": "a", "output": {"x": 1, "x": 2}}\n' + GOOD,
            "duplicate key", "rows.jsonl:1", "x", "one of the two"),
    Refused("i18 nan", '{"input": "a", "output": NaN}\n' + GOOD, "NaN", "rows.jsonl:1", "NaN",
            "null"),
    Refused("i18 infinity", '{"input": "a", "output": {"x": -Infinity}}\n' + GOOD, "Infinity",
            "rows.jsonl:1", "Infinity", "null"),
    Refused("i18 1e999", '{"input": "a", "output": 1e999}\n' + GOOD, "beyond every float",
            "rows.jsonl:1", "1e999", "as text"),
    Refused("i18 long number", '{"input": "a", "output": ' + "9" * 5000 + "}\n" + GOOD,
            "number too long", "rows.jsonl:1", "digits", "as text"),
]  # fmt: skip
TASKS = [
    ("i60 syntax", "data: {file: rows.jsonl\n", "can't be read", "task.yaml:", "", "bracket"),
    ("i60 not closed", 'name: "x\ndata:\n  file: rows.jsonl\n', "can't be read", "task.yaml:", "",
     "quote"),
    ("i61 tab", "data:\n\tfile: rows.jsonl\n", "tab", "task.yaml:2", "file", "spaces"),
    ("i62 unknown key", "data: {file: rows.jsonl}\nsucces: {margin: 0.1}\n", "no such key",
     "task.yaml:2 succes", "succes", "did you mean `success`"),
    ("i62 unknown key inside", "data:\n  file: rows.jsonl\nsuccess:\n  limits:\n    p95: 3\n",
     "no such key", "task.yaml:5 success.limits.p95", "p95", "did you mean `p95_ms`"),
    ("i63 duplicate", "data: {file: rows.jsonl}\nseed: 1\nseed: 2\n", "twice", "task.yaml:3 seed",
     "first on line 2", "remove"),
    ("i64 no as false", "data: {file: rows.jsonl}\nsuccess: {limits: {local_only: no}}\n",
     "true or false", "task.yaml:2 success.limits.local_only", "no", "true or false"),
    ("i64 number as text", 'data: {file: rows.jsonl}\nsuccess: {margin: "1e-4"}\n', "a number",
     "task.yaml:2 success.margin", "1e-4", "number"),
    ("ledger", "data: {file: rows.jsonl}\nledger: postgresql://me:pw@host/db\n", "gone",
     "task.yaml:2 ledger", "ledger", "copy the folder"),
    ("executor", "data: {file: rows.jsonl}\nexecutor: slurm\n", "not on Slurm",
     "task.yaml:2 executor", "slurm", "ray"),
    ("i64 name as number", "data: {file: 5}\n", "text", "task.yaml:1 data.file", "5", "quotes"),
    ("i64 text as list", "data: {file: rows.jsonl}\nmodel: [a]\n", "text", "task.yaml:2 model",
     "list", "text"),
    ("i64 scalar section", "data: rows.jsonl\n", "section", "task.yaml:1 data", "rows.jsonl",
     "key: value"),
    ("i65 nan", "data: {file: rows.jsonl}\nsuccess: {margin: .nan}\n", "finite",
     "task.yaml:2 success.margin", "nan", "plain number"),
    ("i65 inf", "data: {file: rows.jsonl}\nbudget: {minutes: .inf}\n", "finite",
     "task.yaml:2 budget.minutes", "inf", "plain number"),
    ("i65 negative", "data: {file: rows.jsonl}\nsuccess: {target: -0.5}\n", "at least 0",
     "task.yaml:2 success.target", "-0.5", "inside"),
    ("i65 zero", "data: {file: rows.jsonl}\nsuccess: {margin: 0}\n", "above 0",
     "task.yaml:2 success.margin", "0", "inside"),
    ("i65 no time", "data: {file: rows.jsonl}\nknowledge:\n  over: 0d\n", "above 0",
     "task.yaml:3 knowledge.over", "0d", "30d"),
    ("i65 no span", "data: {file: rows.jsonl}\nknowledge:\n  over: ''\n", "no span",
     "task.yaml:3 knowledge.over", "", "30d"),
    ("i67 an age", "data: {file: rows.jsonl}\nknowledge: {over: 900y}\n", "at most a century",
     "task.yaml:2 knowledge.over", "900y", "30d"),
    ("i66 5 for 0.05", "data: {file: rows.jsonl}\nsuccess: {margin: 5}\n", "below 1",
     "task.yaml:2 success.margin", "5", "0.05"),
    ("i67 1e308", "data: {file: rows.jsonl}\neconomics: {requests_per_month: 1e308}\n", "at most",
     "task.yaml:2 economics.requests_per_month", "1e+308", "inside"),
    ("i67 10**400", f"data: {{file: rows.jsonl}}\nseed: {10**399}\n", "too large",
     "task.yaml:2 seed", "1000", "smaller"),
    ("i67 -0", "data: {file: rows.jsonl}\nsuccess: {margin: -0}\n", "above 0",
     "task.yaml:2 success.margin", "0", "inside"),
    ("i68 no arms", "data: {file: rows.jsonl}\narms: []\n", "empty", "task.yaml:2 arms", "[]",
     "auto"),
    ("i68 twice", "data: {file: rows.jsonl}\narms:\n- tfidf\n- zero_shot\n- tfidf\n", "twice",
     "task.yaml:5 arms[2]", "tfidf", "remove"),
    ("i68 one reference", "data: {file: rows.jsonl}\narms: [majority]\n", "alone",
     "task.yaml:2 arms", "majority", "beside"),
    ("i69 zero minutes", "data: {file: rows.jsonl}\nbudget: {minutes: 0}\n", "above 0",
     "task.yaml:2 budget.minutes", "0", "inside"),
    ("i69 negative minutes", "data: {file: rows.jsonl}\nbudget: {minutes: -5}\n", "above 0",
     "task.yaml:2 budget.minutes", "-5", "inside"),
    ("i69 currency", "data: {file: rows.jsonl}\nbudget: {usd: $5}\n", "a number",
     "task.yaml:2 budget.usd", "$5", "alone: 5"),
    ("i70 negative cap", "data: {file: rows.jsonl}\nbudget: {usd: -1}\n", "at least 0",
     "task.yaml:2 budget.usd", "-1", "inside"),
    ("i70 cap no number", "data: {file: rows.jsonl}\nbudget: {tokens: many}\n", "whole number",
     "task.yaml:2 budget.tokens", "many", "whole number"),
]  # fmt: skip


def make(path: Path, content: bytes | str | Callable[[Path], None]) -> None:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def task(folder: Path, file: str = "rows.jsonl", **data: str) -> Task:
    return Task(data=Data(**(data or {"file": file}))).at(folder)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ends_with(folder: Path, code: int, capsys, *words: str) -> None:
    """Run the command line on a folder; assert its exit code and the error as JSON on stdout."""
    capsys.readouterr()
    assert run(["run", str(folder / "task.yaml"), "--json", *words]) == code
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["exit_code"] == code
    assert "BUG" not in err
    assert "Traceback" not in err
    assert err.count("\n  fix ") == 1
    assert not list(folder.glob("results/*/verdict.json"))


def check_parts(error: TuneworthyError, what: str, where: str, got: str, fix: str) -> None:
    assert what in error.what
    assert where in error.where
    assert got in error.got
    assert len(error.got) <= 200
    assert fix in error.fix
    assert "tuneworthy run" in error.kept
    text = str(error)
    assert text.startswith(f"{type(error).__name__}: ")
    for part in ("where", "got", "fix", "kept"):
        if getattr(error, part):
            assert f"\n  {part:<6} " in text
    assert not any(ord(c) < 32 and c != "\n" for c in text)


@pytest.mark.parametrize("case", DATA, ids=lambda case: case.id.replace(" ", "_"))
def test_data_is_refused(case, tmp_path, capsys):
    make(tmp_path / case.file, case.write)
    with pytest.raises(case.kind) as caught:
        load(task(tmp_path, case.file))
    error = caught.value
    assert error.exit_code == 5
    check_parts(error, case.what, case.where, case.got, case.fix)
    (tmp_path / "task.yaml").write_text(f"data: {{file: {case.file}}}\nmodel: {MODEL}\n")
    ends_with(tmp_path, 5, capsys)


@pytest.mark.parametrize("case", TASKS, ids=lambda case: case[0].replace(" ", "_"))
def test_a_task_is_refused(case, tmp_path, capsys):
    _, text, what, where, got, fix = case
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(TaskError) as caught:
        read_task(tmp_path / "task.yaml")
    error = caught.value
    assert error.exit_code == 2
    check_parts(error, what, where, got, fix)
    (tmp_path / "rows.jsonl").write_text(GOOD)
    ends_with(tmp_path, 2, capsys)


def clean(folder: Path, content: bytes | str) -> Loaded:
    make(folder / "rows.jsonl", content)
    return load(task(folder))


def test_i5_a_byte_order_mark_is_accepted_and_noted(tmp_path):
    loaded = clean(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())
    assert len(loaded.cases) == 3
    assert [seen.kind for seen in loaded.observations] == ["byte_order_mark"]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n", "mixed"])
def test_i10_every_line_end_is_accepted(end, tmp_path):
    lines = GOOD.splitlines()
    ends = ["\r\n", "\r", "\n"] if end == "mixed" else [end] * 3
    loaded = clean(tmp_path, "".join(a + b for a, b in zip(lines, ends, strict=True)).encode())
    assert [case.input for case in loaded.cases] == [f"question number {n}" for n in range(3)]
    assert [case.where for case in loaded.cases] == [f"rows.jsonl:{n}" for n in (1, 2, 3)]


def test_i11_no_final_newline_is_accepted(tmp_path):
    assert len(clean(tmp_path, GOOD.rstrip("\n")).cases) == 3


def test_i19_a_line_of_100_mb_is_refused_in_bounded_memory(tmp_path):
    with (tmp_path / "rows.jsonl").open("wb") as file:
        file.write(GOOD.encode() + b'{"input": "')
        for _ in range(100):
            file.write(b"a" * 1_000_000)
        file.write(b'", "output": "b"}\n' + row(9).encode())
    before = memory_mb()
    with pytest.raises(DataError) as caught:
        load(task(tmp_path))
    check_parts(caught.value, "line too long", "rows.jsonl:4", "100,000,", "cut it")
    assert memory_mb() - before < 8 * MAX_LINE / 1e6
    assert len(load(task(tmp_path), "exclude", max_bad=0.5).cases) == 4


def many(path: Path, count: int) -> None:
    with path.open("w") as file:
        for n in range(count):
            file.write(f'{{"input": "question {n} of many", "output": "label {n % 7}"}}\n')


def peak_mb_of_load(folder: Path) -> tuple[int, int, int]:
    """Load in a fresh process; return its peak memory, and the rows that stayed and came in."""
    import subprocess

    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from tuneworthy.records.task import Data, Task\n"
        "from tuneworthy.rows.load import load\n"
        "loaded = load(Task(data=Data(file='rows.jsonl')).at(Path(sys.argv[1])))\n"
        "assert loaded.rows == len(loaded.cases) + sum(loaded.excluded.values())\n"
        "status = Path('/proc/self/status').read_text()\n"
        # not ru_maxrss: a child begins with the peak of the process that started it
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024\n"
        "print(peak, len(loaded.cases), loaded.rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    peak, kept, came = map(int, done.stdout.split())
    return peak, kept, came


@pytest.mark.long
@pytest.mark.full
def test_i20_200_000_rows_are_accepted_in_bounded_memory(tmp_path):
    many(tmp_path / "rows.jsonl", 200_000)
    peak, kept, came = peak_mb_of_load(tmp_path)
    assert (kept, came) == (100_000, 200_000)
    assert peak < LIMIT_MB


@pytest.mark.long
def test_i20_ten_million_rows_are_accepted_in_bounded_memory(tmp_path):
    many(tmp_path / "rows.jsonl", 10_000_000)
    peak, kept, came = peak_mb_of_load(tmp_path)
    assert (kept, came) == (100_000, 10_000_000)
    assert peak < LIMIT_MB


def test_i20_the_draw_does_not_depend_on_the_order(tmp_path):
    lines = [row(n) for n in range(200)]
    one = {case.id for case in load_limited(tmp_path, lines, 50).cases}
    other = {case.id for case in load_limited(tmp_path, lines[::-1], 50).cases}
    assert len(one) == 50
    assert one == other


def load_limited(folder: Path, lines: list[str], limit: int) -> Loaded:
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return load(task(folder), limit=limit)


@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_i21_a_row_nested_10_000_deep_is_refused(shape, tmp_path):
    opening, closing = ("[", "]") if shape == "lists" else ('{"a":', "}")
    deep = opening * 10_000 + "1" + closing * 10_000
    (tmp_path / "rows.jsonl").write_text(GOOD + '{"input": "a", "output": ' + deep + "}\n")
    with pytest.raises(DataError, match="nested too deep") as caught:
        load(task(tmp_path))
    assert "rows.jsonl:4" in caught.value.where


@pytest.mark.parametrize(
    ("name", "head", "command"),
    [
        ("rows.jsonl.gz", gzip.compress(GOOD.encode(), mtime=0), "gunzip"),
        ("rows.parquet", b"PAR1" + b"\0" * 20, "read_parquet"),
        ("rows.xlsx", b"PK\x03\x04" + b"\0" * 20, "CSV"),
    ],
)
def test_i50_i51_binary_files_are_refused_with_the_command(name, head, command, tmp_path):
    (tmp_path / name).write_bytes(head)
    with pytest.raises(DataError) as caught:
        load(task(tmp_path, name))
    assert command in caught.value.fix
    assert caught.value.exit_code == 5


def test_i64_words_and_numbers_are_read_as_they_are_written(tmp_path):
    (tmp_path / "task.yaml").write_text(
        "name: no\ndata: {file: rows.jsonl}\nsuccess: {margin: 1e-4}\noutput: {labels: [yes, no]}\n"
    )
    read = read_task(tmp_path / "task.yaml")
    assert (read.name, read.success.margin, read.output.labels) == ("no", 1e-4, ("yes", "no"))


def test_i69_a_cap_of_zero_with_a_local_model_is_accepted(tmp_path):
    (tmp_path / "task.yaml").write_text("data: {file: rows.jsonl}\nbudget: {usd: 0}\n")
    assert read_task(tmp_path / "task.yaml").budget.usd == 0


@pytest.mark.parametrize(
    "text",
    [
        "data: {file: rows.jsonl}\nname: sk-proj-abcdefghijklmnop1234\n",
        "data: {file: rows.jsonl}\npresent: {options: {api_key: my-own-key}}\n",
        "data: {file: rows.jsonl}\n# hf_abcdefghijklmnopqrstuvwxyz\n",
        "data: {file: rows.jsonl\nkey: ghp_abcdefghijklmnopqrstuvwxyz123456\n",
    ],
)
def test_i74_a_pasted_key_is_refused_and_never_shown(text, tmp_path):
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(SecurityError) as caught:
        read_task(tmp_path / "task.yaml")
    error = caught.value
    assert error.exit_code == 2
    for secret in ("abcdefgh", "my-own-key"):
        assert secret not in str(error)
        assert secret not in json.dumps(error.plain())
        assert error.__cause__ is None


RECORDED = [
    ("usd", -0.1, "below 0", "leave"), ("usd", 1e300, "too large", "at most 1,000,000"),
    ("usd", "0.1", "no number", "without quotes"), ("usd", True, "no number", "without quotes"),
    ("seconds", -1, "below 0", "leave"), ("seconds", "0.8", "no number", "without quotes"),
    ("tokens_out", 1.5, "no number", "whole"), ("finish", "done", "not known", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "what", "fix"), RECORDED)
def test_i164_an_impossible_field_of_a_recorded_answer(key, value, what, fix, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text(GOOD)
    lines = [{"answer": "a"}, {"answer": "b"}, {"answer": "c", key: value}]
    (tmp_path / "logged.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError) as caught:
        read_answers(tmp_path / "logged.jsonl", load(task(tmp_path)).cases)
    check_parts(caught.value, what, f"logged.jsonl:3 {key}", json.dumps(value).strip('"'), fix)
    keys = "arms: [present, copy_input]\npresent: {answers: logged.jsonl}\n"
    (tmp_path / "task.yaml").write_text("data: {file: rows.jsonl}\n" + keys)
    ends_with(tmp_path, 5, capsys)
