"""Record what `soup advise` says, with its version, into the file that the package ships.

`TUNEWORTHY_SOUP=soup/bin/soup python tools/record_soup.py [FILE.jsonl]` asks it about every
measured task of a file, else of the atlas, else about the generated types of task at four sizes.
Answers that are recorded already, by the same version, are kept; nothing is edited by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.atlas import soup_process
from bench.atlas.advice_input import SHOWN_ROWS, AdviceInput, input_of
from bench.atlas.advising import measured_tasks

from tuneworthy.records.measured_task import ShownRow
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.suite import GeneratedTask

SIZES = (40, 100, 250, 1000)


def asked(path: Path | None) -> Iterator[tuple[str, AdviceInput]]:
    """Yield a title and the input of each task that soup is asked about."""
    tasks = measured_tasks(path)
    yield from ((task.key, input_of(task)) for task in tasks if task.shown)
    if tasks:
        return
    for name in catalogue("suite"):
        made: GeneratedTask = load("suite", name).make(0, 60)
        rows = [ShownRow(input=row["input"], output=str(row["output"])) for row in made.rows]
        for size in SIZES:
            yield (
                f"{name}, {size} rows",
                AdviceInput(
                    instruction=made.task["instruction"],
                    rows=tuple(rows[:SHOWN_ROWS]),
                    n=size,
                    base=None,
                    metric=made.task["success"]["metric"],
                    margin=made.task["success"]["margin"],
                    output_type=made.task["output"]["type"],
                ),
            )


def main() -> None:
    """Ask and write; a task that soup fails on is named and left out."""
    program = soup_process.program_path()
    if program is None:
        sys.exit(f"soup-cli is not installed: set {soup_process.PROGRAM_VARIABLE}")
    found = {}
    for title, shown in asked(Path(sys.argv[1]) if sys.argv[1:] else None):
        known = soup_process.recorded_answer(shown)
        if known is None or known.soup != soup_process.program_version(program):
            known = soup_process.run_soup(shown)
        if known is None:
            print(f"{title}: no answer")
            continue
        found[known.asked] = known.model_copy(update={"title": title})
        print(f"{title}: {known.choice} {known.confidence:.2f} ({known.category})")
    text = soup_process.as_lines(found.values())
    soup_process.RECORDED_ANSWERS.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
