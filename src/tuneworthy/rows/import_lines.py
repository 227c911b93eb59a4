"""The lines that `init` prints about the files it read: roles of columns, options to try."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from tuneworthy.records.counting import count_noun
from tuneworthy.records.escape import quoted
from tuneworthy.rows.dependence import proposal_sentences
from tuneworthy.rows.import_files import ImportFiles
from tuneworthy.rows.recognising import RecognisedFile


def import_report_lines(
    sources: Sequence[RecognisedFile], made: ImportFiles, names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines on each file's format and columns, on each system's answers, on the rows.

    `names` maps a system to its name in the task file.
    """
    for source in sources:
        form = source.table.form_text
        if source.roles is not None:
            right = f"`{source.roles.output}`" if source.roles.output else "stands in another file"
            asked = ", ".join(f"`{name}`" for name in source.roles.inputs)
            what, takes = form, (asked + ", joined" * bool(source.roles.joined), right)
        else:
            assert source.format
            what, takes = f"{source.format.name}, {form}", source.format.takes
        odd = "; not UTF-8: its letters are read as Windows-1252" * source.table.is_windows
        yield f"{source.path.name}: read as {what}{odd}"
        own = {"id": source.roles.id, **source.roles.own} if source.roles is not None else {}
        yield from (f"  {role:<13} `{column}`" for role, column in own.items() if column)
        yield f"  input         {takes[0]}"
        yield f"  right answer  {takes[1]}"
        if source.roles is not None and source.roles.alternatives:
            yield "                lists: any of their texts is right (else: --lists json)"
        if source.roles is not None and (unused := _unused_columns(source)):
            yield f"  not used      {unused}"
        if source.roles is not None:
            yield from _option_lines(source)
    for system, count in made.answers.items():
        key = names.get(system, system)
        source_of = next((one.roles.systems[system] for one in sources
                          if one.roles and system in one.roles.systems), None)  # fmt: skip
        shown = f"`{source_of}`" if source_of else f"`{system}`"
        yield f"  {key + ' ' if len(key) > 13 else key:<13} {shown}, {count_noun(count, 'answer')}"
    yield from made.remarks
    yield system_prompt_line(made)
    counted = [f"{made.parts[part]:,} {part}" for part in made.part_files()]
    split = f": {', '.join(counted)}" * bool(counted)
    yield f"{count_noun(made.rows, 'row')} with a right answer{split}"


def _option_lines(source: RecognisedFile) -> Iterator[str]:
    """Yield lines that suggest --input, --labels or --split where the columns look like it."""
    assert source.roles is not None
    roles = source.roles
    if roles.texts and not roles.joined:
        mine = sorted((*roles.texts, roles.input), key=source.columns.index)
        names = " ".join(f"--input {shlex.quote(name)}" for name in mine)
        yield f"                more text is in `{roles.texts[0]}`; to join them: {names}"
    if source.mark and not roles.mark:
        said = f"some hold several labels, parted by `{source.mark}`; to score them as a set"
        yield f"                {said}: --labels {shlex.quote(source.mark)}"
    if source.split and not roles.split:
        said = f"`{source.split}` says train and test; to score its test rows alone"
        yield f"                {said}: --split {shlex.quote(source.split)}"
    yield from _proposal_lines(source)


def _unused_columns(source: RecognisedFile) -> str:
    """Return the names of the columns without a role, which rows keep in `meta`, as one text."""
    assert source.roles is not None
    used = {name.partition(".")[0] for name in source.roles.used}
    left = [name for name in source.columns if "." not in name and name not in used]
    shown = ", ".join(f"`{name[:30]}`" for name in left[:6])
    return shown + (f" and {len(left) - 6} more" if len(left) > 6 else "")


def system_prompt_line(made: ImportFiles) -> str:
    """Return the line on the rows' system prompts: how many rows have one, and the first."""
    total = made.prompts.total()
    if not total:
        return "  system prompt none"
    first = next(iter(made.prompts))
    each = "the same in each of" if len(made.prompts) == 1 else "in"
    return f"  system prompt {each} {count_noun(total, 'row')}: “{quoted(first, 60)}”"


def read_in_place_lines(source: RecognisedFile) -> tuple[str, ...]:
    """Return the lines on a file that needs no import: where its input and right answer are."""
    takes = source.format.takes if source.format else ("`input`", "`output`")
    return (
        f"{quoted(source.path.name, 60)}: read where it lies",
        f"  input         {takes[0]}",
        f"  right answer  {takes[1]}",
        *_proposal_lines(source),
    )


def _proposal_lines(source: RecognisedFile) -> Iterator[str]:
    """Yield the lines on columns that may be `group` or `time`."""
    for sentence in dependence_sentences([source]):
        yield from textwrap.wrap(sentence, 74, initial_indent="  ", subsequent_indent="    ",
                                 break_on_hyphens=False)  # fmt: skip


def dependence_sentences(sources: Sequence[RecognisedFile]) -> tuple[str, ...]:
    """Return sentences on columns of the right answers' files that may be `group` or `time`."""
    found = [one.roles.likely for one in sources if one.roles and one.roles.output]
    return tuple(sentence for likely in found for sentence in proposal_sentences(likely))
