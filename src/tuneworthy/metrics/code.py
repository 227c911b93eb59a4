"""Share of the demands that Python code meets: definitions, patterns and the row's tests.

Each function and class of the right answer, with its parameters, is a demand, and so is each
pattern of `success.options.require`; a pattern of `forbid` makes the answer 0. A row's tests
(`meta.tests`, lines of Python) are demands too, but run only with `run: true`. Without tests, the
score says nothing about what the code does: join another metric (`code+rouge_l`).
"""

from __future__ import annotations

import ast
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tuneworthy.metrics._code import (
    check_patterns,
    count_passed,
    definitions,
    has_pattern,
    parse_python,
)
from tuneworthy.metrics._scorer import read_options
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted
from tuneworthy.records.record import Record

TYPE = "text"
Patterns = Annotated[tuple[str, ...], AfterValidator(check_patterns)]


class Options(Record):
    """Required and forbidden patterns (see `metrics/_code.py`); `run` allows a row's tests.

    `seconds` limits all tests of one answer together.
    """

    require: Patterns = ()
    forbid: Patterns = ()
    run: bool = False
    seconds: Annotated[float, Field(gt=0, le=60)] = 5.0


def score(case: Case, answer: Answer, options: dict[str, Any]) -> Score | Unscored:
    """Return the share of demands that the code meets; 0 for no Python or a forbidden pattern."""
    chosen = read_options(Options, options)
    rights = [tree for text in (case.output, *case.accepted) if (tree := _tree_or_none(text))]
    if not rights:
        return Unscored(reason="the right answer of this case is no Python")
    try:
        tree = parse_python(answer.text)
    except ValueError as error:
        return Score(value=0, why=str(error))
    if bad := [pattern for pattern in chosen.forbid if has_pattern(tree, pattern)]:
        return Score(value=0, why=f"has what is forbidden: {', '.join(bad)}")
    lacking = min((_matched_definitions(right, tree) for right in rights), key=_negative_share)
    demands = [*lacking.values(), *(has_pattern(tree, pattern) for pattern in chosen.require)]
    failed = [name for name, met in lacking.items() if not met]
    failed += [pattern for pattern in chosen.require if not has_pattern(tree, pattern)]
    if chosen.run and (tests := _row_tests(case)):
        held, why = count_passed(ast.unparse(tree), tests, chosen.seconds)
        demands += [True] * held + [False] * (len(tests) - held)
        failed += [f"{len(tests) - held} of {len(tests)} tests {why}"] if held < len(tests) else []
    value = sum(demands) / len(demands) if demands else 1.0
    return Score(value=value, why=quoted("; ".join(failed), 200) or "all demands are met")


def _tree_or_none(text: str) -> ast.Module | None:
    try:
        return parse_python(text)
    except ValueError:
        return None


def _matched_definitions(right: ast.Module, said: ast.Module) -> dict[str, bool]:
    """Return {definition of the right answer, as `f(a, b)`: whether the answer has the same}."""
    own = definitions(said)
    return {f"{name}({', '.join(arguments)})": own.get(name) == arguments
            for name, arguments in definitions(right).items()}  # fmt: skip


def _negative_share(met: dict[str, bool]) -> float:
    return -sum(met.values()) / len(met) if met else -1.0


def _row_tests(case: Case) -> list[str]:
    tests = case.meta.get("tests") or []
    return [str(test) for test in ([tests] if isinstance(tests, str) else tests)]
