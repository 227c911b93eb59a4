"""List the arms that a task names or, under `arms: auto`, all that run by default, as Specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.records.errors import TaskError
from tuneworthy.records.plugins import catalogue, did_you_mean, load
from tuneworthy.records.reason import Reason
from tuneworthy.records.run import Spec
from tuneworthy.records.task import ModelRole, Task, recorded_files

DEV_ROWS_FOR_CHOICE = 24  # dev rows to choose a prompt or a seed on; no choice needs more
_WORDS_OF_NEED = {
    "labels": ("answers from a closed set", " (output.labels)"),
    "schema": ("JSON answers", " (output.schema)"),
    "docs": ("data.docs", ""),
    "gold_passage": ("rows with `context`", ""),
    "gold": ("rows with a right answer", " (`output`)"),
    "bigger": ("bigger", ""),
    "decision": ("decision", " (a decision model's address)"),
    "teacher": ("teacher", ""),
    "unlabelled": ("data.unlabelled", ""),
    "present": ("present", ""),
    "reflection": ("teacher or bigger", " (a capable model that writes prompts)"),
}


def specs(task: Task) -> list[Spec]:
    """Return the arms of a task in ladder order.

    Recorded answers are among them: today's, and all others unless `arms` names some. Raises
    TaskError for an unknown arm, unknown options, a duplicate name or an empty list.
    """
    if task.arms == "auto":
        wanted: list[tuple[str, dict[str, Any]]] = [
            (name, options)
            for name in catalogue("arms")
            if name != "answers"
            and not _has_flag(name, "BY_NAME")
            and not _has_flag(name, "ON_FAILURES")
            and (task.teacher or "teacher" not in load("arms", name).NEEDS)
            and (task.decider or "decision" not in load("arms", name).NEEDS)
            for options in ({}, *variants(name))
        ]
    else:
        wanted = [pair for entry in task.arms for pair in _expand_entry(entry, task)]
    if not wanted:
        raise TaskError("`arms` is an empty list", got="[]", fix="name an arm, or write `auto`")
    logs: list[tuple[str, dict[str, Any]]] = [("answers", {"name": name}) for name in task.answers]
    wanted += [] if any(pair in wanted for pair in logs) else logs
    if task.present and task.present.answers and ("present", {}) not in wanted:
        wanted.append(("present", {}))
    arms = [_make_spec(name, options, task) for name, options in wanted]
    wanted = _with_companions(wanted, task)  # all options are checked now
    arms += [_make_spec(name, options, task) for name, options in wanted[len(arms) :]]
    names = [spec.name for spec in arms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        taken = [name for name in twice if name in task.answers]
        fix = "give them different options, or leave one out"
        raise TaskError(
            "two arms have one name",
            where=f"task.yaml answers.{taken[0]}" if taken else "task.yaml arms",
            got=", ".join(twice),
            fix="an arm is called so: give the recorded answers another name" if taken else fix,
        )
    return sorted(arms, key=_run_order_key)


def _with_companions(
    wanted: list[tuple[str, dict[str, Any]]], task: Task
) -> list[tuple[str, dict[str, Any]]]:
    """Return the (arm, options) pairs, with companions added if the task has a teacher.

    A companion without options is there already if its arm is, whatever its options.
    """
    out = list(wanted)
    for name, options in wanted if task.teacher else ():
        arm = load("arms", name)
        for pair in arm.companions(arm.Options.model_validate(options), task) if hasattr(
            arm, "companions") else ():  # fmt: skip
            named = not pair[1] and any(other == pair[0] for other, _ in out)
            if pair not in out and not named:
                out.append(pair)
    return out


def variants(arm: str) -> tuple[dict[str, Any], ...]:
    """Return the extra options that `arms: auto` runs an arm at, besides its defaults."""
    return tuple(getattr(load("arms", arm), "VARIANTS", ()))


def variant_of(task: Task, spec: Spec) -> int:
    """Return which of its arm's VARIANTS (from 0) a spec is under `arms: auto`; -1 if none."""
    if task.arms != "auto" or spec.name == spec.arm:
        return -1
    matches = (i for i, v in enumerate(variants(spec.arm)) if v.items() <= spec.options.items())
    return next(matches, -1)


def failure_only_arms(task: Task) -> list[Spec]:
    """Return the arms that `arms: auto` runs on failed cases only, because they are expensive."""
    if task.arms != "auto":
        return []
    costly = [name for name in catalogue("arms") if _has_flag(name, "ON_FAILURES")]
    return sorted((_make_spec(name, {}, task) for name in costly), key=_run_order_key)


def _has_flag(arm: str, flag: str) -> bool:
    return bool(getattr(load("arms", arm), flag, False))


def _expand_entry(
    entry: str | dict[str, dict[str, Any]], task: Task
) -> list[tuple[str, dict[str, Any]]]:
    pairs = [(entry, {})] if isinstance(entry, str) else list(entry.items())
    wide: list[tuple[str, dict[str, Any]]] = []
    for name, options in pairs:
        if name in task.answers:
            wide.append(("answers", {"name": name}))
        elif name == "answers" and not options:
            wide += [("answers", {"name": each}) for each in task.answers]
        else:
            wide.append((name, dict(options or {})))
    return wide


def _make_spec(name: str, options: dict[str, Any], task: Task) -> Spec:
    arm = load("arms", name)
    try:
        filled = arm.Options.model_validate(options).plain()
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        option, known = ".".join(map(str, first["loc"])), list(arm.Options.model_fields)
        what, hint = f"the options of arm `{name}` are wrong: {first['msg']}", ""
        if first.get("type") == "extra_forbidden":
            what, hint = f"arm `{name}` has no such option", did_you_mean(option, known)
        fix = f"{hint}options of `{name}`: {', '.join(known) or 'none'}"
        where = f"task.yaml arms.{name}.{option}"
        raise TaskError(what, where=where, got=str(options), fix=fix) from None
    tool, role, label = arm.TOOL or None, arm.ROLE, name
    if hasattr(arm, "place"):
        tool, role = arm.place(arm.Options.model_validate(filled))
    if name == "answers":
        label = options["name"]
        tool = task.answers[label].tool
    elif name == "present" and task.present and task.present.tool:
        tool = task.present.tool
    if extra := [f"{key}={_option_text(value)}" for key, value in options.items() if key != "name"]:
        label = f"{name}({', '.join(extra)})"
    return Spec(
        name=label, arm=name, options=filled, tool=tool, role=role, simplicity=arm.SIMPLICITY
    )


def _option_text(value: Any) -> str:
    """Return an option's value as text in an arm's name; of a command, its words' file names."""
    if not isinstance(value, Mapping) or "command" not in value:
        return str(value)
    words = [word for word in str(value["command"]).split() if "{" not in word]
    return " ".join(word.rpartition("/")[2] for word in words)[:40]


def _run_order_key(spec: Spec) -> tuple[int, int, int, str]:
    """Return the sort key of an arm: references first, a ceiling before the context arms.

    A ceiling chooses its prompt, so it follows the prompts, which are measured first. One that
    needs a model to train stands among the trained arms, before which failures are diagnosed.
    """
    from tuneworthy.records.task import TOOLS

    ceiling = spec.role == "ceiling"
    unplaced = len(TOOLS) if spec.role == "candidate" else -1  # a recorded system without a tool
    among = "distil" if trains(spec) else "context"
    rung = TOOLS.index(spec.tool or among) if spec.tool or ceiling else unplaced
    return rung, 0 if ceiling else 1, spec.simplicity, spec.name


def max_training_rows(spec: Spec) -> int | None:
    """Return the maximum of rows that an arm learns from by its options, None for all of them."""
    most = spec.options.get("rows")
    return most if isinstance(most, int) else None


def chooses(spec: Spec) -> bool:
    """Return whether an arm chooses something on dev rows; else it trains on them too."""
    return bool(getattr(load("arms", spec.arm), "CHOOSES", True))


def chooses_prompt(spec: Spec) -> bool:
    """Return whether an arm chooses its own prompt; a placebo takes that of its arm."""
    return spec.role != "placebo" and _has_flag(spec.arm, "CHOOSES_PROMPT")


def builds_on_prompt(spec: Spec) -> bool:
    """Return whether an arm uses a prompt that was measured before it in its fold."""
    return chooses_prompt(spec) or _has_flag(spec.arm, "BUILDS_ON_PROMPT")


def searches(spec: Spec) -> bool:
    """Return whether an arm searches for a prompt: it has a budget of prompts to try."""
    return bool(spec.options.get("budget"))


def is_recorded(task: Task, spec: Spec) -> bool:
    """Return whether an arm has recorded answers: it learns nothing and calls no model."""
    return spec.name in recorded_files(task)


def recorded_system(spec: Spec) -> str:
    """Return the name of the recorded system whose answers an arm gives: its own, or another's."""
    arm = load("arms", spec.arm)
    if hasattr(arm, "recorded_system"):
        return str(arm.recorded_system(arm.Options.model_validate(spec.options)))
    return spec.name


def needs_dev_scores(task: Task, spec: Spec, arms: Sequence[Spec]) -> bool:
    """Return whether an arm needs dev scores: it is one of several prompts measured in this study.

    The best one on dev is passed to later arms. `finalists` choose the arm of a tool elsewhere.
    """

    def is_prompt(arm: Spec) -> bool:
        return arm.tool == "prompt" and arm.role == "candidate" and not is_recorded(task, arm)

    return is_prompt(spec) and sum(map(is_prompt, arms)) > 1


def times_asked(task: Task, spec: Spec) -> int:
    """Return how often each case is asked: `repeats` times of an arm that draws its answers.

    Those are what runs today and prompts, at a temperature above 0 by their own options or those of
    their endpoint. All else is asked once.
    """
    warm, candidate = spec.options.get("temperature", 0), spec.role == "candidate"
    if "present" in needs_of_arm(spec):
        warm = task.present.options.get("temperature", 0) if task.present else 0
    elif spec.tool in ("prompt", "bigger"):
        role: ModelRole = "bigger" if spec.tool == "bigger" else "model"
        warm = task.options.get(role, {}).get("temperature", warm)
    else:
        warm = 0
    return task.repeats if warm and candidate and not is_recorded(task, spec) else 1


def needs_of_arm(spec: Spec) -> frozenset[str]:
    """Return what an arm needs to run, by its options where they change that."""
    arm = load("arms", spec.arm)
    needs: frozenset[str] = arm.NEEDS
    if hasattr(arm, "needs"):
        needs = arm.needs(arm.Options.model_validate(spec.options))
    return needs


def uses_vectors(spec: Spec) -> bool:
    """Return whether an arm computes sentence vectors: it needs them, or searches by them too."""
    return "vectors" in needs_of_arm(spec) or spec.options.get("dense") is True


def file_read(spec: Spec) -> str | None:
    """Return the user's file that an arm reads, from the task's folder; None if it reads none."""
    return str(spec.options["file"]) if _has_flag(spec.arm, "READS_FILE") else None


def prompt_files(task: Task) -> dict[str, str]:
    """Return {what has a prompt file: its path}: "prompt" for what runs today, else the arm."""
    today = task.present.prompt if task.present else None
    arms = {spec.name: file for spec in specs(task) if (file := file_read(spec))}
    return ({"prompt": today} if today else {}) | arms


def trains(spec: Spec) -> bool:
    """Return whether an arm trains a model: it then runs last, after the diagnosis."""
    return "training" in needs_of_arm(spec)


def tunes_encoder(spec: Spec) -> bool:
    """Return whether an arm tunes a text encoder: no seconds, as other classifiers take."""
    return "encoder" in needs_of_arm(spec)


def trainer_command(options: Mapping[str, Any]) -> str:
    """Return the command that trains an arm by its options, "" for our own loop."""
    trainer = options.get("trainer")
    return str(trainer["command"]) if isinstance(trainer, Mapping) else ""


def highest_rank(arms: Sequence[Spec]) -> int:
    """Return the highest rank of the adapters that arms train, 0 if none trains one."""
    ranks = (spec.options.get("rank") for spec in arms if trains(spec))
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)


def diagnosis_runs(spec: Spec, rows: int) -> list[Spec]:
    """Return the specs that the diagnosis may run for an arm: its pilot and its placebo.

    An arm that repairs nothing (no REMEDY) has none. There is a pilot only if it learns from less
    than half as many of the `rows` as the arm: else a placebo of the arm itself costs no more and
    says more.
    """
    arm = load("arms", spec.arm)
    if not getattr(arm, "REMEDY", None):
        return []
    small = spec
    if hasattr(arm, "pilot"):
        options = arm.pilot(arm.Options.model_validate(spec.options)).plain()
        change = {"name": f"{spec.name} pilot", "role": "ceiling", "options": options}
        pilot = spec.model_copy(update=change)
        learnt = [min(max_training_rows(arm_spec) or rows, rows) for arm_spec in (pilot, spec)]
        small = pilot if 2 * learnt[0] < learnt[1] else spec
    probes = [] if small is spec else [small]
    if hasattr(arm, "placebo"):
        options = arm.placebo(arm.Options.model_validate(small.options)).plain()
        change = {"name": f"{small.name} placebo", "role": "placebo", "of": small.name,
                  "options": options}  # fmt: skip
        probes.append(small.model_copy(update=change))
    return probes


def reads_unlabelled(arm: str) -> bool:
    """Return whether an arm learns from inputs without answers, where there are any."""
    return "unlabelled" in load("arms", arm).NEEDS or _has_flag(arm, "UNLABELLED")


def learns_from_teacher(spec: Spec) -> bool:
    """Return whether an arm trains a student on a teacher's answers."""
    return "teacher" in needs_of_arm(spec) and spec.tool == "distil"


Available = Mapping[str, Reason | None]
"""{need of an arm: why it is not met here, None if it is}."""


def unmet_needs(spec: Spec, available: Available) -> list[Reason]:
    """Return a reason for each need of an arm that is not met here; [] if it can be measured."""
    needs = needs_of_arm(spec) | ({"gold"} if not _has_flag(spec.arm, "WITHOUT_GOLD") else set())
    return [reason for need in sorted(needs) if (reason := available.get(need))]


def needs_of(task: Task, *, gold: bool, **known: Reason | None) -> dict[str, Reason | None]:
    """Return {need: None if the task meets it, else why not}; `known`: reasons for other needs."""
    met = {
        "labels": task.output.type == "label",
        "schema": task.output.type == "json",
        "docs": task.data.docs is not None,
        "gold_passage": gold,
        "gold": not task.lacks_answers,
        "bigger": task.bigger is not None,
        "decision": task.decider is not None,
        "teacher": task.teacher is not None,
        "unlabelled": task.data.unlabelled is not None,
        "present": task.present is not None,
        "reflection": (task.teacher or task.bigger) is not None,
    }
    reasons: dict[str, Reason | None] = {
        need: None if ok else Reason.needs(*_WORDS_OF_NEED[need]) for need, ok in met.items()
    }
    reasons["bigger"] = reasons["bigger"] or known.get("bigger")
    reasons["reflection"] = reasons["reflection"] or (None if task.teacher else known.get("bigger"))
    training = known.get("training") or known.get("model")
    rest = {need: known.get(need) for need in ("model", "vectors", "encoder", "setfit")}
    return reasons | rest | {"training": training}
