"""Build a prompt's messages from a recipe and a query. Knows no model and no metric.

Parts are ordered from fixed to varying (specification, fixed examples, query), so that the prompts
of one recipe share the longest prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tuneworthy.arms.prompt.grammar import schema_line
from tuneworthy.arms.prompt.shots import Pool, fixed_examples, pool, shuffled_answers, why_unusable
from tuneworthy.records.arm import Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import TaskError, refuse_environment_keys
from tuneworthy.records.record import plain_file
from tuneworthy.records.task import Task

INPUT_PLACEHOLDER = "{input}"


NamedPassage = tuple[str, str]
"""A passage in a prompt: its name (a title, or the id of its document) and its text."""


def file_recipe(path: Path) -> Recipe:
    """Return the recipe of a user's prompt file; see `refuse_environment_keys`."""
    try:
        text = plain_file(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TaskError("the prompt file is not UTF-8", where=str(path), got=str(error),
                        fix="save it as UTF-8") from None  # fmt: skip
    refuse_environment_keys(text, str(path))
    return Recipe(kind="file", text=text)


def build_all(
    task: Task, queries: Sequence[Query], recipe: Recipe, train: Sequence[Case]
) -> list[tuple[Message, ...]]:
    """Return the prompt of each query, as `build` makes it; neighbours are found in one pass."""
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
    """Return the prompt for one query: one system turn, the examples, the query's own turns.

    The query's own system turns precede the specification. The passages, or the query's gold
    passage, begin its last user turn; a recipe's reminder ends it, and that of each example. A
    `file` recipe is only the user's text: with `{input}` it becomes the last user turn, without it
    the system turn. A query's own case is never among its examples. Raises ValueError for an
    example that is not in `train`.
    """
    own, turns = _split_system_texts(query.messages)
    system = [
        *own,
        *([text] if (text := _fixed_system_text(task, recipe)) and text not in own else []),
    ]
    messages = [Message(role="system", content="\n\n".join(system))] if system else []
    for case, answer in _shown_examples(task, query, recipe, train):
        messages += _fill_template_or_add_reminder(recipe, _example_turns(case, own))
        messages.append(Message(role="assistant", content=answer))
    if passages:
        turns = _with_text_before(turns, _passages_text(passages))
    elif query.gold_passage is not None:
        turns = _with_text_before(turns, f"Passage: {query.gold_passage}")
    return (*messages, *_fill_template_or_add_reminder(recipe, turns))


def common_system(cases: Sequence[Case]) -> tuple[Message, ...]:
    """Return the system turns that all cases share; () if they differ or there are none."""
    leads = {tuple(m for m in case.messages if m.role == "system") for case in cases}
    return next(iter(leads)) if len(leads) == 1 else ()


def specification(task: Task) -> str:
    """Return the text that specifies the task in prompts: instruction and form of the answer."""
    return "\n".join(part for part in (task.instruction.strip(), form_sentence(task)) if part)


def form_sentence(task: Task) -> str:
    """Return the sentence that asks for the form of an answer; "" if the form is unknown."""
    output = task.output
    if output.type == "label" and output.labels:
        return f"Answer with exactly one of: {_label_list(output.labels)}"
    if output.type == "json" and isinstance(output.json_schema, dict) and output.json_schema:
        form = schema_line(output.json_schema)
        kind = "a JSON object" if form.startswith("{") else "JSON"
        return f"Answer only with {kind} of this form: {form}"
    if output.type == "json":
        return "Answer only with JSON."
    if output.type == "number" and not task.instruction.strip():
        return "Answer only with a number."  # an instruction may ask for the steps before it
    return ""


def _label_list(labels: Sequence[str]) -> str:
    plain = not any(mark in label for label in labels for mark in ',;\n"')
    return ", ".join(labels) if plain else "\n" + "\n".join(f"- {label}" for label in labels)


def _fixed_system_text(task: Task, recipe: Recipe) -> str:
    if recipe.kind == "short" and task.instruction.strip():
        return task.instruction.strip()
    if recipe.kind != "file":
        return specification(task) if recipe.specification is None else recipe.specification.strip()
    text = recipe.text or ""
    return "" if INPUT_PLACEHOLDER in text else text.strip()


def _shown_examples(
    task: Task, query: Query, recipe: Recipe, train: Sequence[Case]
) -> list[tuple[Case, str]]:
    if recipe.kind in ("zero", "short") or not (recipe.shots or (recipe.k and train)):
        return []
    pool_ = pool(train)
    names = [name for name in _example_ids(task, query, recipe, pool_) if name != query.id]
    if missing := [name for name in names if name not in pool_.by_id]:
        raise ValueError(f"examples that are not among the training cases: {missing[:3]}")
    cases = [case for name in names if why_unusable(case := pool_.by_id[name]) is None]
    return list(zip(cases, _example_answers(task, recipe, cases, pool_), strict=True))


def _example_ids(task: Task, query: Query, recipe: Recipe, pool_: Pool) -> Sequence[str]:
    if recipe.shots:
        return recipe.shots
    if recipe.kind == "nearest":
        return pool_.nearest.ids(query, recipe.k)
    return fixed_examples(pool_.train, recipe.k, task.seed)


def _example_answers(
    task: Task, recipe: Recipe, cases: Sequence[Case], pool_: Pool
) -> Sequence[str]:
    """Return the examples' answers, each its own, or exchanged ones for the placebo.

    Fixed examples exchange theirs among themselves, so that the prompt has the same texts. Nearest
    examples often share one answer, so theirs are exchanged over all training cases.
    """
    right = [case.output for case in cases]
    if not recipe.shuffled:
        return right
    if recipe.kind != "nearest" and len(set(right)) > 1:
        return shuffled_answers(right, task.seed)
    others = pool_.exchanged_answers(task.seed)
    return [others[case.id] for case in cases]


def _example_turns(case: Case, own: Sequence[str]) -> list[Message]:
    """Return a case's turns; system texts that the query lacks begin its first user turn."""
    theirs, turns = _split_system_texts(case.messages)
    if others := [text for text in theirs if text not in own]:
        first = turns[0]
        turns[0] = first.model_copy(update={"content": "\n\n".join([*others, first.content])})
    return turns


def _split_system_texts(messages: Sequence[Message]) -> tuple[list[str], list[Message]]:
    system = [m.content for m in messages if m.role == "system" and m.content.strip()]
    return system, [message for message in messages if message.role != "system"]


def _passages_text(passages: Sequence[NamedPassage]) -> str:
    if len(passages) == 1:
        return f"Passage ({passages[0][0]}): {passages[0][1]}"
    numbered = enumerate(passages, 1)
    return "\n\n".join(f"Passage {at} ({name}): {text}" for at, (name, text) in numbered)


def _with_text_before(turns: Sequence[Message], text: str) -> list[Message]:
    """Return the turns with a text put before the content of the last user turn."""
    return _change_last_user_turn(turns, lambda content: f"{text}\n\n{content}")


def _fill_template_or_add_reminder(recipe: Recipe, turns: Sequence[Message]) -> list[Message]:
    """Return the turns, the last user turn filled into the recipe's text or with its reminder."""
    text = recipe.text or ""
    if recipe.reminder and recipe.kind not in ("file", "short"):
        return _change_last_user_turn(turns, lambda content: f"{content}\n\n{recipe.reminder}")
    if recipe.kind != "file" or INPUT_PLACEHOLDER not in text:
        return list(turns)
    return _change_last_user_turn(turns, lambda content: text.replace(INPUT_PLACEHOLDER, content))


def _change_last_user_turn(turns: Sequence[Message], change: Callable[[str], str]) -> list[Message]:
    out = list(turns)
    for at in range(len(out) - 1, -1, -1):
        if out[at].role == "user":
            out[at] = out[at].model_copy(update={"content": change(out[at].content)})
            break
    return out
