"""The command of each next step, and the key of task.yaml that a person changes before it."""

from tuneworthy.records.verdict import Next

_RUN = "tuneworthy run"
_MORE = f"{_RUN} --more {{}}m"
STEPS: dict[str, tuple[str | None, str | None]] = {
    "repair": ("tuneworthy check", "data"),
    "repair the metric or the parser, then run again": (_RUN, "success.metric"),
    "run all rows": (_RUN, None),
    "finish the run": (_RUN, None),
    "answer the failed rows again": (_RUN, None),
    "test the limits": (_RUN, None),
    "raise budget.minutes": (_MORE, None),
    "search for a better prompt": (_MORE, None),
    "measure an arm": (_RUN, "arms"),
    "measure another arm": (_RUN, "arms"),
    "measure a prompt or a tuned model": (_RUN, "arms"),
    "measure retrieval": (_RUN, "arms"),
    "measure bigger": (_RUN, "bigger"),
    "name what runs today": (_RUN, "present"),
    "record the missing answers": (_RUN, "answers"),
    "raise output.max_tokens": (_RUN, "output.max_tokens"),
    "revise the limits": (_RUN, "success.limits"),
    "decide the margin": (_RUN, "success.margin"),
    "write down economics": (_RUN, "economics"),
    "name the groups of the rows": (_RUN, "data"),
    "measure on newer rows": (_RUN, "data"),
    "label": (_RUN, "data"),
    "collect": (_RUN, "data"),
    "label a blind sample": ("tuneworthy check --blind {}", None),
    "settle": ("tuneworthy settle", None),
    "use it": ("tuneworthy build", None),
    "keep": (None, None),
    "rethink the task": (None, None),
}
"""Per step: its command (None: a person decides), and the key to change first (None: none)."""


def with_command(step: Next, recorded: bool = False) -> Next:
    """Return a step with its command and the key to change first, unless it names a key itself.

    `recorded`: the named arm's answers were recorded elsewhere, so there is nothing to build.
    """
    command, edit = STEPS[step.do]
    command = None if recorded and step.do == "use it" else command
    edit = step.edit or edit
    if command and "{}" in command:  # minutes are added, unless a key says what the run gets
        size = step.rows if "--blind" in command else step.minutes
        command = _RUN if edit or size is None else command.format(size)
    return step.model_copy(update={"command": command, "edit": edit})
