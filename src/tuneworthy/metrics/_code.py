"""Static checks of Python code: what it defines and which patterns it contains. Runs no code.

A pattern is a node type of Python's `ast` module (`For`, `Lambda`, `ListComp`), `call:NAME`,
`import:NAME`, or a key of WORDS.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator

MOST_CHARACTERS = 100_000
_FENCE = re.compile(r"```[ \t]*(?:[\w.+-]+[ \t]*)?\n(.*?)(?:```|\Z)", re.DOTALL)
_SNAKE = re.compile(r"_*[a-z0-9]+(_[a-z0-9]+)*_*")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse_python(text: str) -> ast.Module:
    """Return the syntax tree of an answer's longest fenced block, or of the whole answer.

    Raises ValueError in plain words if that is empty or not Python.
    """
    blocks = _FENCE.findall(text)
    code = max(blocks, key=len) if blocks else text
    if not code.strip():
        raise ValueError("the answer is empty")
    if len(code) > MOST_CHARACTERS:
        raise ValueError(f"longer than {MOST_CHARACTERS:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape only warns; it is still Python
            tree = ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"not Python: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ValueError("not Python that can be read") from None
    if not tree.body:
        raise ValueError("nothing but comments")
    return tree


def definitions(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return {name: parameters} of top-level functions and classes; a class has none."""
    definitions: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        if isinstance(node, Function):
            definitions[node.name] = tuple(argument.arg for argument in _arguments(node))
        elif isinstance(node, ast.ClassDef):
            definitions[node.name] = ()
    return definitions


def matches(tree: ast.Module, pattern: str) -> bool:
    """Return whether a Python syntax tree contains a pattern; ValueError for an unknown one."""
    kind, _, name = pattern.partition(":")
    if pattern in WORDS:
        return WORDS[pattern](tree)
    if kind == "call" and name:
        return any(_dotted(n.func) == name for n in ast.walk(tree) if isinstance(n, ast.Call))
    if kind == "import" and name:
        return any(part == name or part.startswith(f"{name}.") for part in _imported(tree))
    return any(isinstance(node, _node(pattern)) for node in ast.walk(tree))


def check(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns. Raise ValueError for the first unknown one."""
    for pattern in patterns:
        matches(ast.Module(body=[], type_ignores=[]), pattern)
    return patterns


def _node(pattern: str) -> type[ast.AST]:
    kind = getattr(ast, pattern, None)
    if isinstance(kind, type) and issubclass(kind, ast.AST):
        return kind
    words = ", ".join(WORDS)
    raise ValueError(f"no pattern is `{pattern}`: a node of `ast`, call:NAME, import:NAME, {words}")


def _functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _arguments(node: Function) -> list[ast.arg]:
    own = node.args
    more = [extra for extra in (own.vararg, own.kwarg) if extra is not None]
    return [*own.posonlyargs, *own.args, *own.kwonlyargs, *more]


def _docstring(tree: ast.Module) -> bool:
    functions = _functions(tree)
    return bool(functions) and all(ast.get_docstring(node) for node in functions)


def _annotations(tree: ast.Module) -> bool:
    functions = _functions(tree)
    return bool(functions) and all(
        node.returns is not None
        and all(a.annotation for a in _arguments(node) if a.arg not in {"self", "cls"})
        for node in functions
    )


def _snake_case(tree: ast.Module) -> bool:
    names = [n.name for n in _functions(tree)]
    names += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not n.id.isupper()
              and isinstance(n.ctx, ast.Store)]  # fmt: skip
    return all(_SNAKE.fullmatch(name) for name in names)


def _bare_except(tree: ast.Module) -> bool:
    return any(isinstance(n, ast.ExceptHandler) and n.type is None for n in ast.walk(tree))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


WORDS: dict[str, Callable[[ast.Module], bool]] = {
    "docstring": _docstring,  # every function has one
    "annotations": _annotations,  # every parameter and every return
    "snake_case": _snake_case,  # names of functions and variables
    "bare_except": _bare_except,
}
