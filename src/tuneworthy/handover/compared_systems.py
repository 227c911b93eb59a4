"""Open the systems that `compare` takes beside files of answers, and ask them the same rows.

A model, an adapter on its base, a GGUF file, a server, a built artefact or a prompt file becomes a
`Side` of a comparison. Files are checked before the first request is sent, and the conditions under
which both sides answered are told: engine, precision, template, tokens of the prompts, limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tuneworthy.arms._prompted import as_answer
from tuneworthy.arms.prompt.messages import build, file_recipe
from tuneworthy.explain.two_logs import LogComparison
from tuneworthy.flows.comparing import CompareOptions, Side, compare_sides
from tuneworthy.handover.named_systems import SystemName
from tuneworthy.handover.system import open_artefact
from tuneworthy.models import is_paid, open_model
from tuneworthy.models.local import wheel
from tuneworthy.models.local.chat_template import TEMPLATE_FILE
from tuneworthy.models.local.model_files import read_json
from tuneworthy.models.remote.endpoint import name_and_url, on_this_machine
from tuneworthy.models.remote.price_list import FREE
from tuneworthy.records.answer import Answer
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import ModelError, SecurityError, TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.records.model import Limits, Prompt, Reply, limits_for
from tuneworthy.records.record import digest
from tuneworthy.records.task import Task
from tuneworthy.records.tokens import mean_distance
from tuneworthy.rows.table_columns import Choice
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger

_PROBED = 4  # right answers whose probabilities show whether an adapter is applied


@dataclass(frozen=True)
class Asking:
    """How both systems are asked.

    `model` answers a prompt file's prompts, and is the base of an adapter that names none. `prompt`
    is the user's template for all models (None: the rows' own messages alone). `max_tokens` None:
    the limit that the right answers suggest. `purse` caps what paid endpoints cost.
    """

    model: str | None = None
    prompt: Path | None = None
    repeats: int = 1
    temperature: float = 0.0
    max_tokens: int | None = None
    seed: int = 0
    purse: Any = None
    say: Callable[[str], None] = lambda text: None


@dataclass
class AskedSystem:
    """An opened system. `conditions` say under which it answers; `notes` what the user must know.

    `counts` are the tokens of the prompts that it was sent, once it was asked ([]: not known).
    `paid`: its requests may cost money.
    """

    name: SystemName
    answers: Callable[[Task, Sequence[Case]], Sequence[Answer]]
    conditions: dict[str, str]
    notes: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    paid: bool = False


def open_systems(
    names: Sequence[SystemName], how: Asking
) -> tuple[tuple[Side, ...], tuple[AskedSystem, ...]]:
    """Return a side for each system, and those that are asked; open and check all of them first.

    Raises ModelError for an adapter of another base or one that changes nothing, SecurityError for
    weights that are pickles, TaskError for a prompt file without a model and a paid endpoint
    without a cap: before a request is sent.
    """
    sides, asked = [], []
    for name in names:
        if name.kind == "log":
            sides.append(Side(name.name, name.path))
            continue
        others = [other for other in names if other is not name and other.kind == "model"]
        opened = _open(name, how, others)
        asked.append(opened)
        paid = how.purse is not None and opened.paid
        sides.append(Side(name.name, ask=partial(_ask_aloud, opened, how.say), paid=paid))
    return tuple(sides), tuple(asked)


def _ask_aloud(
    system: AskedSystem, say: Callable[[str], None], task: Task, cases: Sequence[Case]
) -> Sequence[Answer]:
    say(f"asking {system.name.name}: {count_noun(len(cases), 'row')}")
    return system.answers(task, cases)


def _open(name: SystemName, how: Asking, others: Sequence[SystemName]) -> AskedSystem:
    if name.kind == "artefact":
        system = open_artefact(name.path)
        model = getattr(system, "model", None)
        return AskedSystem(
            name, lambda task, cases: system.answer([case.query() for case in cases]),
            dict(model.fingerprint) if model else {"engine": "a classifier"},
        )  # fmt: skip
    if name.kind == "gguf":
        return _gguf_system(name, how)
    if name.kind == "adapter":
        return _adapter_system(name, how, others)
    if name.kind == "prompt":
        if how.model is None:
            raise TaskError("a prompt file needs a model that answers it", where=name.ref,
                            fix="name it: --model hf:./model", kept="your files")  # fmt: skip
        return _model_system(name, how.model, how, name.path)
    return _model_system(name, _spec_of(name.ref), how, how.prompt)


def _spec_of(ref: str) -> str:
    """Return a reference as the spec of a model: a folder is an `hf:` model by its whole path."""
    return f"hf:{Path(ref).absolute()}" if Path(ref).is_dir() else ref


def _opened_model(spec: str, how: Asking) -> Any:
    """Return the opened model; a paid endpoint needs a cap, a server of this machine none."""
    url = name_and_url(spec)[1] or os.environ.get("OPENAI_BASE_URL", "")
    local = on_this_machine(url) if is_paid(spec) else True
    if not local and how.purse is None:
        raise TaskError("an endpoint has no cap on what it may cost", where="command line",
                        got=spec, fix="name one: --budget 2 (USD), or --budget 200000tokens",
                        kept="everything: nothing was asked")  # fmt: skip
    name = name_and_url(spec)[0]
    return open_model(spec, folder=Path(), purse=None if local else how.purse,
                      prices={name: FREE} if local else None)  # fmt: skip


def _model_system(
    name: SystemName, spec: str, how: Asking, prompt: Path | None, model: Any = None
) -> AskedSystem:
    model = model or _opened_model(spec, how)
    opened = AskedSystem(name, lambda task, cases: (), dict(model.fingerprint))
    opened.paid = getattr(model, "purse", None) is not None

    def answers(task: Task, cases: Sequence[Case]) -> Sequence[Answer]:
        prompts = _prompts(opened, task, cases, prompt, how)
        if hasattr(model, "net"):  # tokens are known of a local model alone
            opened.counts[:] = [model.count_tokens(prompt) for prompt in prompts]
        return _drawn(cases, prompts, model.reply, how, task)

    opened.answers = answers
    return opened


def _prompts(
    opened: AskedSystem, task: Task, cases: Sequence[Case], file: Path | None, how: Asking
) -> list[Prompt]:
    """Return the prompt of each case, and note in `opened` under which conditions it is sent."""
    recipe = file_recipe(file) if file else Recipe(kind="file", text="")
    drawn = f"temperature {how.temperature:g}, seed {how.seed}" if how.temperature else "greedy"
    opened.conditions |= {"prompt": f"{file}" if file else "the rows' own messages",
                          "prompt text": digest(recipe.text), "limit": str(_limit(task, how)),
                          "sampling": drawn}  # fmt: skip
    return [build(task, case.query(), recipe, ()) for case in cases]


def _limit(task: Task, how: Asking) -> int:
    """Return the most tokens of an answer."""
    return how.max_tokens or task.output.token_limit


def _drawn(
    cases: Sequence[Case], prompts: Sequence[Prompt],
    reply: Callable[[Sequence[Prompt], Limits], Sequence[Reply]], how: Asking, task: Task,
) -> list[Answer]:  # fmt: skip
    """Return the answer to each case, with further draws of it as its repeats."""
    limits = limits_for(task, _limit(task, how), seed=how.seed, temperature=how.temperature)
    draws = [
        [as_answer(case.query(), prompt, one) for case, prompt, one in zip(
            cases, prompts, reply(prompts, limits.model_copy(update={"sample": n})), strict=True)]
        for n in range(how.repeats)
    ]  # fmt: skip
    return [first.model_copy(update={"repeats": tuple(more)})
            for first, *more in zip(*draws, strict=True)]  # fmt: skip


def _adapter_system(name: SystemName, how: Asking, others: Sequence[SystemName]) -> AskedSystem:
    """Return an adapter on its base: `--model`, else the other side's model, else what it names."""
    if not (name.path / "adapter_model.safetensors").exists() and (
        pickles := sorted(path.name for path in name.path.glob("*.bin"))
    ):
        raise SecurityError("the adapter's weights are pickles, which can run code when opened",
                            where=name.ref, got=", ".join(pickles), kept="everything",
                            fix="save it again as adapter_model.safetensors")  # fmt: skip
    told, beside = _base_name(name), _spec_of(others[0].ref) if others else None
    spec = base_of_adapter(name, how.model or beside)
    base = _opened_model(spec, how)
    if not hasattr(base, "with_adapter"):
        raise TaskError("an adapter needs a model that takes adapters", where=name.ref, got=spec,
                        fix="name its base: --model hf:./base", kept="everything")  # fmt: skip
    model = base.with_adapter(name.path)
    opened = _model_system(name, spec, how, how.prompt, model)
    if told and Path(told).name != Path(spec.partition(":")[2] or spec).name:
        opened.notes.append(f"the adapter names {quoted(told, 60)} as its base, and runs on"
                            f" {quoted(spec, 60)}: only the shapes were compared")  # fmt: skip
    if _own_template(name.path, base):
        opened.notes.append(
            "the adapter's folder has a chat template of its own, which is not used: both sides"
            " have that of the base"
        )
    ask = opened.answers

    def answers(task: Task, cases: Sequence[Case]) -> Sequence[Answer]:
        _refuse_idle(name, base, model, cases)
        return ask(task, cases)

    opened.answers = answers
    return opened


def base_of_adapter(name: SystemName, given: str | None) -> str:
    """Return the spec of an adapter's base: the given one, else the one that its config names."""
    if given is not None:
        return _spec_of(given)
    if not (told := _base_name(name)):
        raise TaskError("the adapter names no base", where=name.ref,
                        fix="name it: --model hf:./base", kept="everything")  # fmt: skip
    if told == wheel.NAME or ":" in told:
        return told
    return _spec_of(told) if Path(told).is_dir() else f"hf:{told}"


def _base_name(name: SystemName) -> str:
    config = read_json(name.path / "adapter_config.json", "the adapter has no adapter_config.json")
    return str(config.get("base_model_name_or_path") or "")


def _own_template(folder: Path, base: Any) -> bool:
    own, tokenizer = folder / TEMPLATE_FILE, getattr(base, "tokenizer", None)
    return own.is_file() and own.read_text("utf-8") != getattr(tokenizer, "chat_template", None)


def _refuse_idle(name: SystemName, base: Any, model: Any, cases: Sequence[Case]) -> None:
    """Raise ModelError if the adapter leaves the probabilities of right answers as they are."""
    if not hasattr(model, "net"):
        return
    from tuneworthy.models.local.score import token_logprobs

    probed = cases[:_PROBED]
    pair = [case.messages for case in probed], [case.output for case in probed]
    if mean_distance(token_logprobs(base, *pair), token_logprobs(model, *pair)) == 0:
        raise ModelError("the adapter is not applied: its model gives right answers the"
                         " probabilities that the base gives", where=name.ref, kept="everything",
                         fix="train it, or name the adapter that was trained")  # fmt: skip


def _gguf_system(name: SystemName, how: Asking) -> AskedSystem:
    """Return a GGUF file in llama.cpp, in this process; it answers greedily alone."""
    from tuneworthy.models.local.exported_weights import read_exported
    from tuneworthy.models.local.llama_cpp import LlamaCpp, missing

    if why := missing():
        raise TaskError("a GGUF file needs llama.cpp", where=name.ref, got=why,
                        fix="pip install 'tuneworthy[build]'", kept="everything")  # fmt: skip
    if how.temperature:
        raise TaskError("a GGUF file is asked greedily", where="--temperature", kept="everything",
                        fix="serve it, and name its address")  # fmt: skip
    made = read_exported(name.path)
    facts = {"engine": "llama.cpp", "precision": made.kind, "template": digest(made.template)}
    opened = AskedSystem(name, lambda task, cases: (), facts)
    if not made.template:
        opened.notes.append(f"{quoted(name.ref, 60)} has no chat template of its own")

    def answers(task: Task, cases: Sequence[Case]) -> Sequence[Answer]:
        prompts = _prompts(opened, task, cases, how.prompt, how)
        longest = max(sum(len(m.content) for m in prompt) for prompt in prompts)
        room = longest + _limit(task, how) + 256  # a token has a character or more
        engine = LlamaCpp(name.path, room)
        opened.counts[:] = engine.prompt_tokens(prompts)
        replies = engine.reply(prompts, _limit(task, how))
        return [as_answer(case.query(), prompt, reply)
                for case, prompt, reply in zip(cases, prompts, replies, strict=True)]  # fmt: skip

    opened.answers = answers
    return opened


_SHOWN = {"engine": "engine", "precision": "precision", "template": "chat template",
          "tokenizer": "tokenizer", "prompt text": "prompt", "limit": "limit of tokens",
          "sampling": "sampling"}  # fmt: skip
_NAMED_BY = {"prompt text": "prompt"}  # what a digest is shown by


def _condition_notes(asked: Sequence[AskedSystem]) -> Iterator[str]:
    """Yield sentences on what both sides share and in what they differ, after they were asked."""
    for one in asked:
        yield from (f"{one.name.name}: {note}" for note in one.notes)
    if len(asked) < 2:
        return
    first, second = (one.conditions for one in asked)
    known = [key for key in _SHOWN if key in first and key in second]
    if same := [_SHOWN[key] for key in known if first[key] == second[key]]:
        yield f"both sides have the same {', '.join(same)}"
    for key in known:
        if first[key] != second[key]:
            shown = [facts[_NAMED_BY.get(key, key)] for facts in (first, second)]
            values = [quoted(str(value), 24) for value in shown]
            yield f"the {_SHOWN[key]} differs: {values[0]} and {values[1]}"
    if unknown := [_SHOWN[key] for key in _SHOWN if key not in known]:
        yield f"not known of both sides: {', '.join(unknown)}"
    counts = [one.counts for one in asked]
    if all(counts):
        other = sum(a != b for a, b in zip(*counts, strict=True))
        yield (
            f"{other:,} of {len(counts[0]):,} prompts have another number of tokens"
            if other
            else f"all {len(counts[0]):,} prompts have the same number of tokens on both sides"
        )
    alike = ("weights", "adapter", "prompt text")
    if "weights" in first and all(first.get(key) == second.get(key) for key in alike):
        yield "both sides are one model: the weights are the same"


def compare_systems(
    names: tuple[SystemName, SystemName],
    gold: Path,
    how: Asking,
    options: CompareOptions = CompareOptions(),
    named: Choice = Choice(),
) -> LogComparison:
    """Return the comparison of two systems on the rows of `gold`; what is asked is checked first.

    Raises the errors of `open_systems` and of `compare_sides`.
    """
    sides, asked = open_systems(tuple(dict.fromkeys(names)), how)
    compared = compare_sides((sides[0], sides[-1]), gold, options, named)
    return replace(compared, notes=(*compared.notes, *_condition_notes(asked)))


@contextmanager
def capped(folder: Path, budget: str | None, about: Sequence[str]) -> Iterator[Any]:
    """Yield the purse of `--budget`: USD (`2`), or tokens (`200000tokens`); None without a cap.

    Paid replies are kept in the folder's store, so that an answer is never paid for twice. `about`
    identifies the comparison. Raises TaskError for a text that is no amount.
    """
    if budget is None:
        yield None
        return
    usd, tokens = _amount(budget)
    with open_ledger(folder) as ledger:
        yield SpendingCap(ledger, usd, tokens, f"compare {digest(list(about), 12)}")


def _amount(text: str) -> tuple[float | None, int | None]:
    number = text.strip().lower().partition("tok")[0]
    try:
        value = float(number.strip().removeprefix("$").replace(",", ""))
        if not 0 <= value < 1e12:
            raise ValueError
    except ValueError:
        raise TaskError("that is no amount", where="--budget", got=text, kept="everything",
                        fix="write 2 (USD) or 200000tokens") from None  # fmt: skip
    return (None, int(value)) if "tok" in text.lower() else (value, None)
