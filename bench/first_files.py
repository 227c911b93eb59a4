"""Seconds and memory of `tuneworthy init` on 100,000 rows of each form of file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import write

import tuneworthy

ROWS = 100_000
CALL = "from tuneworthy.cli import main; main()"
TEAMS = ("billing", "delivery", "account", "returns")


def records(n: int = ROWS):
    """Yield rows of a table with a system's answers."""
    for k in range(n):
        text = f"order {k}: my parcel {k * 7919 % 99991} is late since day {k % 97}, please look"
        said = TEAMS[k % 4] if k % 5 else TEAMS[(k + 1) % 4]
        yield {"message": text, "team": TEAMS[k % 4], "gpt4 answer": said}


def chat(row: dict[str, str]) -> dict[str, object]:
    roles = (("system", "Name the team."), ("user", row["message"]), ("assistant", row["team"]))
    return {"messages": [{"role": role, "content": text} for role, text in roles]}


def lines(path: Path, rows) -> Path:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def csv(folder: Path) -> Path:
    import csv as table

    with (folder / "t.csv").open("w", newline="") as file:
        out = table.DictWriter(file, list(next(records(1))))
        out.writeheader()
        out.writerows(records())
    return folder / "t.csv"


def parquet(folder: Path) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*records()]), folder / "t.parquet")
    return folder / "t.parquet"


def saved(folder: Path) -> Path:
    import datasets

    datasets.Dataset.from_list([*records()]).save_to_disk(str(folder / "set"))
    return folder / "set"


def excel(folder: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(next(records(1))))
    for row in records():
        sheet.append(list(row.values()))
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def array(folder: Path) -> Path:
    (folder / "t.json").write_text(json.dumps([*records()], indent=1))
    return folder / "t.json"


def promptfoo(folder: Path) -> Path:
    rows = [{"vars": {"question": row["message"]}, "provider": {"id": "x"}, "success": True,
             "testIdx": k, "promptIdx": 0, "latencyMs": 9, "cost": 0.001,
             "response": {"output": row["gpt4 answer"], "cached": False},
             "testCase": {"assert": [{"type": "equals", "value": row["team"]}]}}
            for k, row in enumerate(records())]  # fmt: skip
    found = {"evalId": "e", "results": {"version": 3, "prompts": [], "results": rows}}
    (folder / "t.json").write_text(json.dumps(found, indent=1))
    return folder / "t.json"


def traces(folder: Path) -> Path:
    return lines(folder / "t.jsonl", ({"traceId": str(k), "type": "GENERATION", "model": "m",
        "input": row["message"], "output": row["gpt4 answer"], "expectedOutput": row["team"],
        "datasetId": "d"} for k, row in enumerate(records())))  # fmt: skip


def jsonl(folder: Path) -> Path:
    return lines(folder / "t.jsonl", records())


def openai(folder: Path) -> Path:
    return lines(folder / "t.jsonl", map(chat, records()))


MAKERS = {"CSV": csv, "JSON Lines": jsonl, "JSON array": array, "OpenAI chat": openai,
          "promptfoo results": promptfoo, "Langfuse": traces, "Parquet": parquet,
          "saved data set": saved, "Excel": excel}  # fmt: skip


def made(name: str, folder: Path) -> Path:
    """Write a file of this form in a process of its own, and return it.

    A child begins with the peak of the process that started it, so this one stays small.
    """
    words = [sys.executable, __file__, "--make", name, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise ImportError(done.stderr.strip().splitlines()[-1])
    return Path(done.stdout.strip())


def measure(name: str) -> dict[str, float]:
    """Return the seconds and the peak megabytes of `init` on a file of this form."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = made(name, folder)
        here = {**os.environ}
        here["PYTHONPATH"] = f"{Path(tuneworthy.__file__).parents[1]}:{here.get('PYTHONPATH', '')}"
        began = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-c", CALL, "init", path.name], cwd=folder,
                                 env=here, stdout=subprocess.DEVNULL,
                                 stderr=(folder / "told").open("wb"))  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{name}: {(folder / 'told').read_text()}")
        busy = used.ru_utime + used.ru_stime
        return {"seconds": round(seconds, 1), "cpu_seconds": round(busy, 1),
                "mb": round(used.ru_maxrss / 1024)}  # fmt: skip


def main() -> None:
    """Measure each form once, print it, and write the figures."""
    told: dict[str, dict[str, float]] = {}
    for name in MAKERS:
        try:
            told[name] = measure(name)
        except ImportError as error:
            print(f"{name}: not measured: {error}", flush=True)
            continue
        print(name, told[name], flush=True)
    worst = {
        key: max(one[key] for one in told.values()) for key in ("seconds", "cpu_seconds", "mb")
    }
    summary = {f"init on 100,000 rows, slowest form, {key}": value for key, value in worst.items()}
    write("first_files", {"rows": ROWS, "n": 1, "forms": told, "summary": summary})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        print(MAKERS[sys.argv[2]](Path(sys.argv[3])))
    else:
        main()
