"""Build the messages that a model sees from a recipe. Knows no model and no metric.

Parts are ordered from fixed to varying (specification, fixed examples, query), so that the prompts
of one recipe share the longest prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuneworthy.core.arm import Recipe
from tuneworthy.core.case import Case, Message, Query
from tuneworthy.core.task import Task
from tuneworthy.prompting.schema_text import readable
from tuneworthy.prompting.shots import Pool, fixed, pool, refused, shuffled_answers

HOLE = "{input}"


NamedPassage = tuple[str, str]
"""A passage in a prompt: its name (a title, or the id of its document) and its text."""


def build_all(
    task: Task, queries: Sequence[Query], recipe: Recipe, train: Sequence[Case]
) -> list[tuple[Message, ...]]:
    """Return the prompts of many queries, as `build` would; neighbours are found in one pass."""
    if recipe.kind == "nearest" and recipe.k and train and not recipe.shots:
        pool(train).nearest.rank(queries, recipe.k)
    return [build(task, query, recipe, train) for query in queries]


def build(
    task: Task,
    query: Query,
    recipe: Recipe,
    train: Sequence[Case],
    passages: Sequence[NamedPassage] = (),
) -> tuple[Message, ...]:
    """Return the messages for one query: one system turn, the examples, the query's own turns.

    The passages, or the query's gold passage, precede its last user turn.

    The query's own system turns precede the specification; a recipe's reminder ends each last user
    turn, after its passages. A `file` recipe is the user's text alone: with `{input}` it becomes
    the last user turn, without it the system turn. A query's own case is never among its examples.
    Raises ValueError for an example that is not in `train`.
    """
    own, turns = _parted(query.messages)
    system = [*own, *([text] if (text := _standing(task, recipe)) and text not in own else [])]
    messages = [Message(role="system", content="\n\n".join(system))] if system else []
    for case, answer in _examples(task, query, recipe, train):
        messages += _filled(recipe, _example(case, own))
        messages.append(Message(role="assistant", content=answer))
    if passages:
        turns = _led(turns, _cited(passages))
    elif query.gold_passage is not None:
        turns = _led(turns, f"Passage: {query.gold_passage}")
    return (*messages, *_filled(recipe, turns))


def common_system(cases: Sequence[Case]) -> tuple[Message, ...]:
    """Return the system turns that every case begins with; () if they differ or there are none."""
    leads = {tuple(m for m in case.messages if m.role == "system") for case in cases}
    return next(iter(leads)) if len(leads) == 1 else ()


def specification(task: Task) -> str:
    """Return the text in every prompt of the task: the instruction and the form of an answer."""
    return "\n".join(part for part in (task.instruction.strip(), form(task)) if part)


def form(task: Task) -> str:
    """Return the form of an answer in one line, or "" if it is unknown."""
    output = task.output
    if output.type == "label" and output.labels:
        return f"Answer with exactly one of: {_listed(output.labels)}"
    if output.type == "json" and isinstance(output.json_schema, dict) and output.json_schema:
        form = readable(output.json_schema)
        kind = "a JSON object" if form.startswith("{") else "JSON"
        return f"Answer only with {kind} of this form: {form}"
    if output.type == "json":
        return "Answer only with JSON."
    if output.type == "number" and not task.instruction.strip():
        return "Answer only with a number."  # an instruction may ask for the steps before it
    return ""


def _listed(labels: Sequence[str]) -> str:
    plain = not any(mark in label for label in labels for mark in ',;\n"')
    return ", ".join(labels) if plain else "\n" + "\n".join(f"- {label}" for label in labels)


def _standing(task: Task, recipe: Recipe) -> str:
    if recipe.kind == "short" and task.instruction.strip():
        return task.instruction.strip()
    if recipe.kind != "file":
        return specification(task) if recipe.specification is None else recipe.specification.strip()
    text = recipe.text or ""
    return "" if HOLE in text else text.strip()


def _examples(
    task: Task, query: Query, recipe: Recipe, train: Sequence[Case]
) -> list[tuple[Case, str]]:
    if recipe.kind in ("zero", "short") or not (recipe.shots or (recipe.k and train)):
        return []
    pool_ = pool(train)
    names = [name for name in _names(task, query, recipe, pool_) if name != query.id]
    if missing := [name for name in names if name not in pool_.by_id]:
        raise ValueError(f"examples that are not among the training cases: {missing[:3]}")
    cases = [case for name in names if refused(case := pool_.by_id[name]) is None]
    return list(zip(cases, _answers(task, recipe, cases, pool_), strict=True))


def _names(task: Task, query: Query, recipe: Recipe, pool_: Pool) -> Sequence[str]:
    if recipe.shots:
        return recipe.shots
    if recipe.kind == "nearest":
        return pool_.nearest.ids(query, recipe.k)
    return fixed(pool_.train, recipe.k, task.seed)


def _answers(task: Task, recipe: Recipe, cases: Sequence[Case], pool_: Pool) -> Sequence[str]:
    """Return the examples' answers: the right ones, or shuffled ones for the placebo.

    Fixed examples exchange theirs, so that the prompt holds the same texts. Nearest examples often
    share one answer, so theirs are exchanged over all training cases.
    """
    right = [case.output for case in cases]
    if not recipe.shuffled:
        return right
    if recipe.kind != "nearest" and len(set(right)) > 1:
        return shuffled_answers(right, task.seed)
    others = pool_.dealt(task.seed)
    return [others[case.id] for case in cases]


def _example(case: Case, own: Sequence[str]) -> list[Message]:
    """Return a case's turns; a system turn that the query lacks goes before its first user turn."""
    theirs, turns = _parted(case.messages)
    if others := [text for text in theirs if text not in own]:
        first = turns[0]
        turns[0] = first.model_copy(update={"content": "\n\n".join([*others, first.content])})
    return turns


def _parted(messages: Sequence[Message]) -> tuple[list[str], list[Message]]:
    system = [m.content for m in messages if m.role == "system" and m.content.strip()]
    return system, [message for message in messages if message.role != "system"]


def _cited(passages: Sequence[NamedPassage]) -> str:
    if len(passages) == 1:
        return f"Passage ({passages[0][0]}): {passages[0][1]}"
    numbered = enumerate(passages, 1)
    return "\n\n".join(f"Passage {at} ({name}): {text}" for at, (name, text) in numbered)


def _led(turns: Sequence[Message], text: str) -> list[Message]:
    """Return the turns with a text before the last user turn's."""
    return _last_user(turns, lambda content: f"{text}\n\n{content}")


def _filled(recipe: Recipe, turns: Sequence[Message]) -> list[Message]:
    """Return the turns, the last user turn in the user's template or with the reminder after it."""
    text = recipe.text or ""
    if recipe.reminder and recipe.kind not in ("file", "short"):
        return _last_user(turns, lambda content: f"{content}\n\n{recipe.reminder}")
    if recipe.kind != "file" or HOLE not in text:
        return list(turns)
    return _last_user(turns, lambda content: text.replace(HOLE, content))


def _last_user(turns: Sequence[Message], change: Callable[[str], str]) -> list[Message]:
    out = list(turns)
    for at in range(len(out) - 1, -1, -1):
        if out[at].role == "user":
            out[at] = out[at].model_copy(update={"content": change(out[at].content)})
            break
    return out
