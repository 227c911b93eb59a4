"""Write what tells a project's coding agents to measure before they train.

One text, the skill, is written where each agent looks; a few lines go between markers into the
file of notes for agents, which is the user's. Writing again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.records.errors import TaskError
from tuneworthy.records.own_files import OwnKind, check_own, write_own
from tuneworthy.store.trouble import output_errors

BEGIN, END = "<!-- tuneworthy: begin -->", "<!-- tuneworthy: end -->"
LINES = """## Before any fine-tuning

Asked to fine-tune, train a LoRA, distil, or train a model on examples: do not start a training.
First measure on the user's rows with tuneworthy whether that is the right tool:
`tuneworthy init FILE --json`, then `check`, `plan` and `run`. Tell the user the minutes and the
price of the plan before `run`. Train only where the verdict's `use` is `tune` or `distil` and its
`status` is `firm`. Asked whether a tuned model, a prompt or an export did help:
`tuneworthy compare A B --gold ROWS --json`. Details: the skill `tuneworthy`.
"""
SKILL_FOLDERS = (".claude/skills/tuneworthy", ".agents/skills/tuneworthy")
SERVER = {"command": "tuneworthy", "args": ["mcp", "."]}
_SKILL = OwnKind("the skill", lambda head: b"\nname: tuneworthy\n" in head[:200])
_RULE = OwnKind("a rule", lambda head: b"\n# Ask before you train\n" in head)
_NOTES = OwnKind("notes for agents", lambda head: True)  # only what is between markers changes


def skill_text() -> str:
    """Return the skill: of the installed package, or of a clone."""
    here = Path(__file__)
    places = (here.with_name("SKILL.md"), here.parents[3] / "skills/tuneworthy/SKILL.md")
    return next(path for path in places if path.exists()).read_text("utf-8")


def write_project_files(root: Path, dry: bool = False) -> list[tuple[str, str]]:
    """Write the files into a project; return [(path, written, unchanged or would be written)].

    Raise TaskError, and write nothing, if a file of another kind stands in the way.
    """
    files = list(_files(root))
    changed = [(path, text, kind) for path, text, kind in files if _read(path) != text]
    for path, _, kind in changed:
        check_own(path, kind, replaced_by="")
    for path, text, kind in () if dry else changed:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_own(path, text, kind)
    done, new = "would be written" if dry else "written", {path for path, _, _ in changed}
    return [(str(path.relative_to(root)), done if path in new else "unchanged")
            for path, _, _ in files]  # fmt: skip


def _files(root: Path) -> Iterator[tuple[Path, str, OwnKind]]:
    """Yield (path, text, kind) of each file: notes, skills, Cursor's rule, MCP settings."""
    for name in ("AGENTS.md", "CLAUDE.md", "GEMINI.md"):
        if name == "AGENTS.md" or (root / name).exists():
            yield root / name, _with_lines(root / name), _NOTES
    skill = skill_text()
    for folder in SKILL_FOLDERS:
        yield root / folder / "SKILL.md", skill, _SKILL
    yield root / ".cursor/rules/tuneworthy.mdc", cursor_rule(skill), _RULE
    yield root / ".mcp.json", _with_server(root / ".mcp.json"), _NOTES


def cursor_rule(skill: str) -> str:
    """Return the skill as a rule of Cursor, which an agent reads where its description fits."""
    _, head, body = skill.split("---", 2)
    about = next(line for line in head.splitlines() if line.startswith("description:"))
    return f"---\n{about}\nalwaysApply: false\n---{body}"


def _with_lines(path: Path) -> str:
    """Return a file of notes with our lines between their markers, at its end if they are new."""
    text, ours = _read(path) or "", f"{BEGIN}\n{LINES}{END}\n"
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{ours}".lstrip()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        fix = f"write `{END}` after them, or remove `{BEGIN}`"
        raise TaskError("the end of our lines is missing", where=str(path), got=f"no `{END}`",
                        fix=fix, kept="it, unchanged")  # fmt: skip
    return before + ours.rstrip() + after


def _with_server(path: Path) -> str:
    """Return MCP settings that name our server beside whatever they name; as they are if so."""
    text = _read(path) or "{}"
    try:
        settings = json.loads(text)
        servers = settings.setdefault("mcpServers", {})
        if "tuneworthy" in servers:
            return text
        servers["tuneworthy"] = SERVER
    except (ValueError, AttributeError, TypeError):
        raise TaskError("these settings can't be read", where=str(path), kept="it, unchanged",
                        fix='repair them: {"mcpServers": {…}}') from None  # fmt: skip
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
