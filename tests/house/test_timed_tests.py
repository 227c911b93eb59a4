"""No test fails because the machine was busy or stood still: limits go through one place."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
CLOCKS = {"monotonic", "perf_counter", "time"}


def reads_clock(node):
    return any(
        isinstance(call, ast.Call) and getattr(call.func, "attr", "") in CLOCKS
        for call in ast.walk(node)
    )


def test_no_assertion_reads_a_wall_clock():
    found = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert) and reads_clock(node.test)
    ]
    assert found == [], "use tests.in_time.ends_within"
