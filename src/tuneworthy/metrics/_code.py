"""Read from Python code, without running it, what it defines and which patterns it contains.

A pattern is a node type of Python's `ast` module (`For`, `Lambda`, `ListComp`), `call:NAME`,
`import:NAME`, or a key of NAMED_PATTERNS.
"""

from __future__ import annotations

import ast
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tuneworthy.records.code import syntax_tree
from tuneworthy.sandbox.child import Child, ChildFailed

MOST_CHARACTERS = 100_000

_FENCE = re.compile(r"```[ \t]*(?:[\w.+-]+[ \t]*)?\n(.*?)(?:```|\Z)", re.DOTALL)

_SNAKE = re.compile(r"_*[a-z0-9]+(_[a-z0-9]+)*_*")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse_python(text: str) -> ast.Module:
    """Return the syntax tree of an answer's longest fenced block, or of the whole answer.

    Raises ValueError, with a text for the user, if that is empty or not Python.
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
            tree = syntax_tree(code)
    except SyntaxError as error:
        raise ValueError(f"not Python: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ValueError("not Python that can be read") from None
    if not tree.body:
        raise ValueError("nothing but comments")
    return tree


def definitions(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return {top-level function or class: its parameter names, () for a class}."""
    definitions: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        if isinstance(node, Function):
            definitions[node.name] = tuple(argument.arg for argument in _arguments(node))
        elif isinstance(node, ast.ClassDef):
            definitions[node.name] = ()
    return definitions


def has_pattern(tree: ast.Module, pattern: str) -> bool:
    """Return whether a syntax tree contains a pattern. Raises ValueError for an unknown pattern."""
    kind, _, name = pattern.partition(":")
    if pattern in NAMED_PATTERNS:
        return NAMED_PATTERNS[pattern](tree)
    if kind == "call" and name:
        return any(_dotted_name(n.func) == name for n in ast.walk(tree) if isinstance(n, ast.Call))
    if kind == "import" and name:
        return any(part == name or part.startswith(f"{name}.") for part in _imported_modules(tree))
    return any(isinstance(node, _ast_class(pattern)) for node in ast.walk(tree))


def check_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns unchanged. Raises ValueError for the first unknown one."""
    for pattern in patterns:
        has_pattern(ast.Module(body=[], type_ignores=[]), pattern)
    return patterns


def _ast_class(pattern: str) -> type[ast.AST]:
    kind = getattr(ast, pattern, None)
    if isinstance(kind, type) and issubclass(kind, ast.AST):
        return kind
    words = ", ".join(NAMED_PATTERNS)
    raise ValueError(f"no pattern is `{pattern}`: a node of `ast`, call:NAME, import:NAME, {words}")


def _functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _arguments(node: Function) -> list[ast.arg]:
    own = node.args
    more = [extra for extra in (own.vararg, own.kwarg) if extra is not None]
    return [*own.posonlyargs, *own.args, *own.kwonlyargs, *more]


def _all_have_docstrings(tree: ast.Module) -> bool:
    functions = _functions(tree)
    return bool(functions) and all(ast.get_docstring(node) for node in functions)


def _all_are_annotated(tree: ast.Module) -> bool:
    functions = _functions(tree)
    return bool(functions) and all(
        node.returns is not None
        and all(a.annotation for a in _arguments(node) if a.arg not in {"self", "cls"})
        for node in functions
    )


def _names_are_snake_case(tree: ast.Module) -> bool:
    names = [n.name for n in _functions(tree)]
    names += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not n.id.isupper()
              and isinstance(n.ctx, ast.Store)]  # fmt: skip
    return all(_SNAKE.fullmatch(name) for name in names)


def _has_bare_except(tree: ast.Module) -> bool:
    return any(isinstance(n, ast.ExceptHandler) and n.type is None for n in ast.walk(tree))


def _dotted_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


NAMED_PATTERNS: dict[str, Callable[[ast.Module], bool]] = {
    "docstring": _all_have_docstrings,  # every function has one
    "annotations": _all_are_annotated,  # every parameter and every return
    "snake_case": _names_are_snake_case,  # names of functions and variables
    "bare_except": _has_bare_except,
}

MEMORY = 1024**3

_TEST_RUNNER = '''
import sys

ALLOWED = {"os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "os.walk"}
STOPPED = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pty.", "signal.", "ftplib.")


def hook(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        raise PermissionError("the code of an answer writes no files")
    if event == "open" and args[1] is None and args[2] & 3:
        raise PermissionError("the code of an answer writes no files")
    if event.startswith(STOPPED) and event not in ALLOWED:
        raise PermissionError(f"the code of an answer may not call {event}")


def run(code, tests):
    """Return how many tests hold, as a number; each sees the names that the code defined."""
    sys.addaudithook(hook)
    names = {"__name__": "answer"}
    exec(compile(code, "answer", "exec"), names)
    held = 0
    for test in tests:
        try:
            exec(compile(test, "test", "exec"), dict(names))
            held += 1
        except Exception:
            pass
    return held
'''


def count_passed(code: str, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Return (number of tests that pass, 0 if the code fails; why the run failed, or "").

    `seconds` limits all tests together. Each test is Python that raises if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        order = {"source": _TEST_RUNNER, "path": str(Path(folder) / "run.py"), "name": "run"}
        child = Child(order, folder=Path(folder), seconds=seconds, memory=MEMORY)
        try:
            return int(child.call(code, list(tests))), ""
        except ChildFailed as error:
            return 0, str(error)
        finally:
            child.stop()
