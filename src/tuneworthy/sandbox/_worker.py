"""Run untrusted code in a child process: one JSON line in, one out.

It is run by path and imports nothing of tuneworthy. It limits its own memory, time and network
before it loads the code, gives the code neither our stdin nor our stdout, and an alarm kills it if
one call exceeds its seconds. When the parent ends, the kernel kills its process group.

Argument: the read end of a pipe whose other end only the parent holds.

In   {"source", "path", "name"} or {"schema"}, with "memory" in bytes; then {"args", "seconds"}
Out  {"ready": true, "network": "cut" | "refused"} or {"fatal": why}; then {"value"} or {"error"}
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import math
import os
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


def _lower_limit(kind: int, soft: int) -> None:
    """Lower one resource limit of this process, if the system has it."""
    hard = resource.getrlimit(kind)[1]
    most = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses RLIMIT_AS
        resource.setrlimit(kind, (most, hard))


def _end_with_parent(pipe: int) -> None:
    """Make the kernel kill this process group when the other end of a pipe closes.

    On Linux signal-driven I/O (fcntl(2), F_SETOWN and F_SETSIG) sends a chosen signal to the whole
    group; it does not need the interpreter, which a regular expression may block. On other systems
    a thread waits.
    """
    if os.getpgid(0) != os.getpid():  # the group has other processes
        return
    try:
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    except (AttributeError, OSError):
        threading.Thread(target=_await_end, args=(pipe,), daemon=True).start()
        return
    if select.select([pipe], [], [], 0)[0]:  # closed before the signal was set up
        os.killpg(0, signal.SIGKILL)


def _await_end(pipe: int) -> None:
    select.select([pipe], [], [])
    os.killpg(0, signal.SIGKILL)


def _cut_network() -> str:
    """Enter a network namespace without interfaces and block Python's sockets.

    Return "cut", or "refused" if the kernel allows no namespace and only the sockets are blocked.
    """
    user, group = os.getuid(), os.getgid()
    cut = False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        cut = libc.unshare(_NEW_NET) == 0
        if not cut and libc.unshare(_NEW_USER | _NEW_NET) == 0:
            cut = True
            for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"),
                               ("gid_map", f"{group} {group} 1")):  # fmt: skip
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
    except (OSError, AttributeError):
        pass

    def refused(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError("a metric has no network")

    for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"),
                        (socket.socket, "sendto"), (socket, "getaddrinfo")):  # fmt: skip
        setattr(owner, name, refused)
    return "cut" if cut else "refused"


def _load_function(order: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that `order` names, loaded from its source text."""
    sys.path.append(os.path.dirname(order["path"]))  # last, so that it shadows no library module
    names: dict[str, Any] = {"__name__": "tuneworthy_metric", "__file__": order["path"]}
    exec(compile(order["source"], order["path"], "exec"), names)
    if not callable(names.get(order["name"])):
        raise NameError(f"the file defines no function {order['name']}")
    target: Callable[..., Any] = names[order["name"]]
    return target


class SchemaFault(Exception):
    """A JSON schema that can't be used; the text is the reason."""


def schema_checker(value: dict[str, Any]) -> Callable[[Any], str]:
    """Return a function that says how a value violates a JSON schema, "" if it does not.

    Nothing is fetched. Raises SchemaFault if the schema is invalid or can't be used.
    """
    import jsonschema
    from referencing import Registry

    default = jsonschema.Draft202012Validator
    known = isinstance(value.get("$schema"), str)
    kind = jsonschema.validators.validator_for(value, default) if known else default
    check = kind(value, registry=Registry())

    def wrong(instance: Any) -> str:
        if check.is_valid(instance):
            return ""
        error = next(check.iter_errors(instance))
        path = "".join(f"/{part}" for part in error.absolute_path)
        return f"{path or 'the answer'}: {error.message}"[:200]

    try:
        kind.check_schema(value)
        _resolve_references(value)
        for probe in ("{}", "[]", '""', "0"):
            check.is_valid(json.loads(probe))
    except jsonschema.SchemaError as error:
        raise SchemaFault(f"it is no JSON schema: {error.message}"[:500]) from None
    except RecursionError:
        raise SchemaFault("it refers to itself without end") from None
    except Exception as error:
        raise SchemaFault(f"{type(error).__name__}: {error}"[:500]) from None
    return wrong


def _resolve_references(value: dict[str, Any]) -> None:
    """Look up every reference of a schema; a dangling one raises the error of `referencing`."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(value, default_specification=DRAFT202012)
    name = resource.id() or ""
    resolver = Registry().with_resource(name, resource).resolver(name)
    level: list[Any] = [value]
    while level:
        node = level.pop()
        if isinstance(node, dict):
            for key in ("$ref", "$dynamicRef", "$recursiveRef"):
                if isinstance(node.get(key), str):
                    resolver.lookup(node[key])
            level += node.values()
        elif isinstance(node, list):
            level += node


def _to_line_value(value: Any) -> float | str | None:
    """Return a result as a float, a text (also for "nan", "inf") or None; TypeError for others."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "__float__"):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    raise TypeError(f"the function returned a {type(value).__name__}, not a number")


def _error_line(error: BaseException) -> str:
    """Return an exception as one line, with the number of the last line in the user's code."""
    text = f"{type(error).__name__}: {error}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return f"{text} (line {frames[-1].lineno})" if frames else text


def _run_call(target: Callable[..., Any], order: dict[str, Any]) -> dict[str, Any]:
    """Call `target` with the order's arguments and time limit; return {"value"} or {"error"}."""
    seconds = order["seconds"]
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower_limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 2)
    signal.alarm(math.ceil(seconds) + 2)
    try:
        return {"value": _to_line_value(target(*order["args"]))}
    except MemoryError:
        return {"error": "MemoryError: past the memory limit"}
    except BaseException as error:  # sys.exit in a metric is a failed call, not our exit
        return {"error": _error_line(error)[:500]}
    finally:
        signal.alarm(0)


def main() -> None:
    """Load the code in stdin's first line, then answer each further line with one on stdout."""
    if len(sys.argv) > 1:
        _end_with_parent(int(sys.argv[1]))
    lines, out = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # output printed by the code must not look like an answer
    order = json.loads(lines.readline())
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_AS, order["memory"])
    hello = {"ready": True, "network": _cut_network()}
    try:
        target = schema_checker(order["schema"]) if "schema" in order else _load_function(order)
    except SchemaFault as error:
        hello = {"fatal": str(error)}
    except BaseException as error:
        hello = {"fatal": _error_line(error)[:500]}
    print(json.dumps(hello), file=out, flush=True)
    if "fatal" in hello:
        return
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            print(json.dumps(_run_call(target, json.loads(line))), file=out, flush=True)
    if os.getpgid(0) == os.getpid():  # nobody asks any more; no reader is left for the signal
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
