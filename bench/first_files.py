"""Seconds and memory of `tuneworthy init` on 100,000 rows of each form of file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = 100_000
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


def measure(name: str) -> tuple[float, float]:
    """Return the seconds and the peak megabytes of `init` on a file of this form."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = MAKERS[name](folder)
        began = time.perf_counter()
        code = (f"import resource, sys; sys.argv = ['tuneworthy', 'init', {path.name!r}]\n"
                "from tuneworthy.cli._frame import run\n"
                "code = run(sys.argv[1:])\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
                "sys.exit(code)")  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                              text=True)  # fmt: skip
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr}")
        return seconds, float(done.stdout.split()[-1])


if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        try:
            seconds, peak = measure(name)
        except ImportError as error:
            print(f"{name}: not measured: {error}")
            continue
        print(f"{name}: {seconds:.1f} s, {peak:.0f} MB for {ROWS:,} rows", flush=True)
