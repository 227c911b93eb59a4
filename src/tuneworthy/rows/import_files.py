"""Write imported rows and each system's answers to files; count the records left out.

Rows are written as they come. Only those without a right answer are held back, because a later
record of the same key may bring it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tuneworthy.records.own_files import ANSWERS, ROWS, check_own, draft_of, open_draft
from tuneworthy.rows.bad_rows import ImportedRow, RawRow, ReadCount, RowFault
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.rows import as_text, to_case
from tuneworthy.rows.table_columns import PART_NAMES, system_name

NO_ANSWER = "no right answer"
_REPEATED_INPUT = "an input that stands in an earlier record"
_OTHER_ANSWER = "another right answer than that of an earlier record to its input, which counts"
_SECOND_ANSWER = "a second answer of one system to one row"
_NAMED_ID_PATTERN = re.compile(r"\S(.{0,150}\S)?")
_MOST_PROMPTS = 1_000  # distinct system prompts that are counted
_MOST_SAMPLED_ROWS = 1_000
_ROWS_PREFIX = "\0"  # before the name of a part, where a system's name may stand
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class ImportFiles:
    """Writes the files of an import next to the task file; they are drafts until `finish`.

    No file of another kind is replaced and none of `keep`; no file at all if `keep` is None.

    `rows` counts the rows written, `parts` those of each part (`train`, `test`, `dev`), `left`
    those left out by reason, `left_at` their first place, `read` counts those of which nothing can
    be read, `shared` those whose input stood in an earlier one, `answers` the answers of each
    system, `prompts` the system prompts; `said` keeps the answers to the first thousand rows,
    `rowless` counts answers to inputs without a right answer; `remarks` are sentences on what is
    read, `metrics` the metric of each file's own checks, None where it has none.
    """

    def __init__(
        self, folder: Path, stem: str, merge: bool, right: str | None, keep: Sequence[Path] | None
    ) -> None:
        self._folder, self._stem, self._right_system = folder, stem, right
        self._merge, self._keep = merge, keep
        self.rows = 0
        self.parts: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.left_at: dict[str, str] = {}
        self.read = ReadCount()
        self.remarks: list[str] = []
        self.metrics: list[str | None] = []
        self.answers: Counter[str] = Counter()
        self.prompts: Counter[str] = Counter()
        self.rowless: Counter[str] = Counter()
        self.shared = 0
        self.said: dict[str, list[str]] = {}
        # By system; files of rows by _ROWS_PREFIX and part.
        self._files: dict[str, tuple[Path, IO[str]]] = {}
        self._names: dict[str, str] = {}  # by system: its name in files, which no other one has
        self._ids: set[str] = set()
        self._keys: dict[str, str] = {}
        self._right_answers: dict[str, str] = {}
        self._answered_pairs: set[tuple[str, str, int]] = set()
        self._held_answers: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        self._held_prompts: dict[str, Any] = {}  # the turns of rows that are held back, by key

    def rows_file(self, part: str = "") -> Path:
        """Return the path of the file of rows, or of one part of them."""
        return self._folder / f"{self._stem}.{part or 'rows'}.jsonl"

    def part_files(self) -> dict[str, Path]:
        """Return {part: path} of the parts that have rows, the training rows first."""
        return {part: self.rows_file(part) for part in PART_NAMES if self.parts[part]}

    def answers_file(self, system: str) -> Path:
        """Return the path of the file of a system's answers."""
        return self._folder / f"{self._stem}.{self.name_of(system)}.jsonl"

    def name_of(self, system: str) -> str:
        """Return the plain name of a system, with a number if another one of them has it.

        Names of models that differ only in their signs, or behind 48 characters, look alike.
        """
        if system not in self._names:
            plain = system_name(system)
            if plain.casefold() in {"rows", *PART_NAMES}:
                plain += "-answers"
            taken = {name.casefold() for name in self._names.values()}
            name, number = plain, 2
            while name.casefold() in taken:
                name, number = f"{plain}-{number}", number + 1
            self._names[system] = name
        return self._names[system]

    def count_lost(self, why: str, where: str, fault: RowFault | None = None) -> None:
        """Count a record that makes no row; `fault`: nothing of it can be read."""
        self.read.add(fault)
        self._leave_out(why, where)

    def _leave_out(self, why: str, where: str) -> None:
        self.left[why] += 1
        self.left_at.setdefault(why, where)

    def add(self, where: str, row: ImportedRow) -> None:
        """Write a row and its answers, or count why it is left out."""
        self.read.add()
        fields = {key: value for key, value in row.fields.items() if value is not None}
        answers = dict(row.answers)
        if self._right_system in answers and "output" not in fields:
            fields["output"] = answers.pop(self._right_system)["answer"]
        turns = fields.get("messages")
        ends = isinstance(turns, list) and bool(turns) and turns[-1].get("role") == "assistant"
        answered = ends or fields.get("output") not in (None, "")
        own = fields.pop("id", None)
        if "messages" not in fields and not as_text(fields.get("input") or "").strip():
            self._leave_out("empty input", where)
            return
        if not _is_plain(fields, answered):
            case = to_case(RawRow(where, fields), answered=answered)
            if isinstance(case, RowFault):
                self._leave_out(case.why, where)
                return
        key = row.key or (normalised_text(input_of(fields)) if self._merge else "")
        self.shared += key in self._keys or key in self._held_answers
        right = as_text(fields.get("output") or (turns or [{}])[-1])
        if key in self._keys:
            if answered and self._right_answers[key] != right:
                self._leave_out(_OTHER_ANSWER, where)
            elif answered and not answers:
                self._leave_out(_REPEATED_INPUT, where)
            self._write_answers(self._keys[key], where, answers, row.repeat)
        elif not answered and key:
            self._held_answers.setdefault(key, []).append((where, answers))
            if _has_prompt(fields):
                self._held_prompts.setdefault(key, fields["messages"])
        elif not answered:
            self.rowless.update(answers.keys())
            self._leave_out(NO_ANSWER, where)
        else:
            if key in self._held_prompts and "input" in fields:  # the other record has the prompt
                fields["messages"] = self._held_prompts.pop(key)
                del fields["input"]
            self._right_answers[key] = right
            self.parts[row.part] += 1
            self._write_row({**fields, "id": self._make_id(own, where)}, key, row.part)
            for at, held in [(where, answers), *self._held_answers.pop(key, [])]:
                self._write_answers(str(self._last_id), at, held)

    def _write_row(self, fields: Mapping[str, Any], key: str, part: str) -> None:
        self._last_id = fields["id"]
        if key:
            self._keys[key] = self._last_id
        self.rows += 1
        turns = fields.get("messages") or [{}]
        if _has_prompt(fields) and len(self.prompts) < _MOST_PROMPTS:
            self.prompts[str(turns[0]["content"])] += 1
        self._write_line(_ROWS_PREFIX + part, {"id": fields["id"], **fields})

    def _write_answers(
        self, row: str, where: str, answers: Mapping[str, Any], repeat: int = 1
    ) -> None:
        for system, found in answers.items():
            if self._merge or len(self._keys) > 0:
                if (system, row, repeat) in self._answered_pairs:
                    self._leave_out(_SECOND_ANSWER, where)
                    continue
                self._answered_pairs.add((system, row, repeat))
            self.answers[system] += 1
            sampled = row in self.said or len(self.said) < _MOST_SAMPLED_ROWS
            if sampled and found["answer"] is not None:
                self.said.setdefault(row, []).append(as_text(found["answer"]))
            again = {"repeat": repeat} if repeat > 1 else {}
            self._write_line(system, {"id": row, **again, **found})

    def _make_id(self, own: Any, where: str) -> str:
        """Return the row's own id if it is usable and new, else an id made of its place."""
        named = "" if own is None or isinstance(own, bool) else str(own)
        usable = _NAMED_ID_PATTERN.fullmatch(named) and named not in self._ids
        name = named if usable else where[-160:]
        while name in self._ids:
            name += "'"
        self._ids.add(name)
        return name

    def _write_line(self, system: str, value: Mapping[str, Any]) -> None:
        if system not in self._files:
            rows = system.startswith(_ROWS_PREFIX)
            path = self.rows_file(system[1:]) if rows else self.answers_file(system)
            check_own(path, ROWS if rows else ANSWERS, self._keep or (), self._keep is None)
            self._files[system] = path, open_draft(path)
        self._files[system][1].write(_ENCODE(value) + "\n")

    def finish(self, keep: bool) -> tuple[Path, ...]:
        """Close the files, keep or remove them, and return the paths of those that are kept."""
        for held in self._held_answers.values():
            for where, answers in held:
                self.rowless.update(answers.keys())
                self._leave_out(NO_ANSWER, where)
        self._held_answers = {}
        kept = []
        for path, file in self._files.values():
            file.close()
            if keep:
                os.replace(draft_of(path), path)
                kept.append(path)
            else:
                with contextlib.suppress(OSError):
                    draft_of(path).unlink()
        self._files = {}
        return tuple(sorted(kept))


def _has_prompt(fields: Mapping[str, Any]) -> bool:
    """Return whether the turns of a row begin with a system prompt."""
    turns = fields.get("messages") or [{}]
    return turns[0].get("role") in {"system", "developer"}


def _is_plain(fields: Mapping[str, Any], answered: bool) -> bool:
    """Return whether a row has plain texts as input and answer, so that it needs no full check.

    Checking it as a case costs ten times as much, and most rows are plain.
    """
    if not answered:
        return False
    if fields.keys() == {"messages"}:
        return _are_plain_turns(fields["messages"])
    if fields.keys() - {"input", "output", "meta"}:
        return False
    text, right = fields.get("input"), fields["output"]
    meta = isinstance(fields.get("meta", {}), dict)
    return isinstance(text, str) and bool(text.strip()) and bool(as_text(right).strip()) and meta


def _are_plain_turns(turns: Any) -> bool:
    """Return whether turns are texts that alternate user and assistant, after any system turn."""
    texts = all(isinstance(one, dict) and isinstance(one.get("content"), str) for one in turns)
    if not turns or not texts or any("tool_calls" in one for one in turns):
        return False
    roles = [one.get("role") for one in turns]
    spoken = roles[1:] if roles[0] == "system" else roles
    in_turn = spoken == ["user", "assistant"] * (len(spoken) // 2)
    return in_turn and bool(spoken) and all(one["content"].strip() for one in turns)


def input_of(fields: Mapping[str, Any]) -> str:
    """Return the text of the input, or of the last user turn."""
    turns = fields.get("messages") or []
    users = (str(turn["content"]) for turn in reversed(turns) if turn.get("role") == "user")
    return str(fields["input"]) if "input" in fields else next(users, "")
