"""Write the recorded answers of `tuneworthy demo --recorded`, and the results of its studies.

`python tools/record_demo.py` asks the rules below about the test rows of two tasks of the suite and
writes what they answer. The rules were written from labels, schema and training rows, not from the
test rows; nothing in the files is edited by hand. Then each study is run, without a model, and its
results.json is packed beside the answers: the lab shows it on its start page.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.flows.study import run
from tuneworthy.report.results_folder import RESULTS_FILE
from tuneworthy.suite import STUDIES, clause_type, support_tickets, write_recorded
from tuneworthy.suite._made import load_words

OUT = Path(__file__).parents[1] / "src" / "tuneworthy" / "suite" / "recorded"
CLAUSES = {
    "confidentiality": r"confiden|secret|need to know|guard|papers received",
    "governing_law": r"\bcourts?\b|governed|dispute is|judges|law is used|proceedings|construed",
    "force_majeure": r"flood|war or|embargo|natural disaster|beyond",
    "indemnity": r"harmless|demands|takes over the defence|third part",
    "non_compete": r"rival|hire away|compet|alone and|no other maker",
    "data_protection": r"data subject|encrypt|individuals|personal data",
    "warranty": r"guarantee|assurance|defect|confirms that|promise",
    "intellectual_property": r"copyright|licen[cs]e to|vest in|brand|title to",
    "assignment": r"transfer|successors|assign|sell its claims",
    "termination": r"terminat|walk away|leave the arrangement|to a close|falls away",
    "liability": r"capped|claims against|recover more|negligence|liab",
    "payment": r"\bdue\b|interest|invoice|hold back|fees|deposit",
}
OPENER = re.compile(
    r"^(Whether|In|Subject|Except|Where|Notwithstanding|Insurance|Leaving|For|Without|As|After|During)"
    r"\b[^,]*, "
)
ORDER = re.compile(r"\b[A-Z][0-9]{3}\b")
ITEM = re.compile(rf"\b({'|'.join(load_words('support').items)})\b")
NAME = re.compile(
    r"(?:I'm|I am|It is|This is|Signed|name is|name:|from|regards,|Yours,) ([A-Z][a-z]+)"
)
KINDS = {
    "refund": r"refund|money back|reimburs|account is still empty|went back",
    "login": r"log ?in|password|sign in|locked out|code",
    "billing": r"charged|invoice|billed|card|bill\b",
    "wrong": r"wrong|instead|too small|too big|colour|not what",
    "broken": r"broke|crack|stopped|won't|dent|hole|smell|rattle|fell apart|snapped",
    "late": r"turned up|waited|where is|tracking|never came|delivered|stuck|no sign|courier",
}


def keywords(text: str) -> str:
    """Return the first clause type whose keyword stands after the opening, else the first."""
    rest = OPENER.sub("", text)
    found = (kind for kind, words in CLAUSES.items() if re.search(words, rest, re.IGNORECASE))
    return next(found, next(iter(CLAUSES)))


def most_words(text: str) -> str:
    """Return the clause type with the most keywords after the opening, the last of equals."""
    rest = OPENER.sub("", text)
    last_first = list(reversed(CLAUSES))
    return max(last_first, key=lambda kind: len(re.findall(CLAUSES[kind], rest, re.IGNORECASE)))


def rules_first(text: str) -> str:
    """Return a ticket's record by the first version of the rules: one issue, no name."""
    issue = _issue(text)
    return _record(None, ORDER.search(text), [issue])


def rules_second(text: str) -> str:
    """Return a ticket's record by the second version: names, and one issue for each part."""
    parts = [part for part in re.split(r" and |; |\. | / ", text) if _kind(part)] or [text]
    name = NAME.search(text)
    return _record(name and name[1], ORDER.search(text), [_issue(part) for part in parts[:2]])


def _kind(text: str) -> str | None:
    found = (kind for kind, words in KINDS.items() if re.search(words, text, re.IGNORECASE))
    return next(found, None)


def _issue(text: str) -> dict[str, Any]:
    item = ITEM.search(text)
    return {"kind": _kind(text) or "late", "item": item[1] if item else None}


def _record(name: str | None, order: re.Match[str] | None, issues: list[dict[str, Any]]) -> str:
    record = {"name": name, "order": order[0] if order else None, "issues": issues}
    return json.dumps(record, separators=(",", ":"))


def write(name: str, rows: Sequence[dict[str, Any]], answer: Callable[[str], str]) -> None:
    """Write one system's answers to the rows, matched by their input."""
    lines = [json.dumps({"input": row["input"], "answer": answer(row["input"])}) for row in rows]
    (OUT / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Write the answers of all systems, and the results of the studies on them."""
    OUT.mkdir(exist_ok=True)
    clauses, tickets = clause_type.make(0), support_tickets.make(0)
    write("keywords", clauses.rows[clauses.split :], keywords)
    write("most_words", clauses.rows[clauses.split :], most_words)
    write("rules_first", tickets.rows[tickets.split :], rules_first)
    write("rules_second", tickets.rows[tickets.split :], rules_second)
    write_studies()


def write_studies() -> None:
    """Run the studies on these answers and pack the results of each."""
    os.environ["TUNEWORTHY_LOOKS"] = "folder"  # nobody decides on these rows
    for name in STUDIES:
        with tempfile.TemporaryDirectory() as place:
            study = run(write_recorded(name, Path(place)))
            whole = (study.folder / RESULTS_FILE).read_bytes()
        (OUT / f"{name}.results.json.gz").write_bytes(gzip.compress(whole, 9, mtime=0))


if __name__ == "__main__":
    main()
