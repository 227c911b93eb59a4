"""The child process that runs code we don't trust to end: one JSON line in, one out.

Run by path and alone: it imports nothing of tuneworthy. It limits its own memory, time and
network before it loads the code, gives the code no stdin and no stdout of ours, and dies by
alarm when one call runs past its seconds, even if the parent is gone.

In   {"source", "path", "name"} or {"schema"}, with "memory" in bytes; then {"args", "seconds"}
Out  {"ready": true, "network": "cut" | "refused"} or {"fatal": why}; then {"value"} or {"error"}
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


def limit(kind: int, soft: int) -> None:
    """Lower one resource limit, where the system has it."""
    hard = resource.getrlimit(kind)[1]
    most = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses RLIMIT_AS
        resource.setrlimit(kind, (most, hard))


def cut_network() -> str:
    """Leave the network by a namespace of our own; where the kernel says no, refuse sockets."""
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


def function(order: dict[str, Any]) -> Callable[..., Any]:
    """Load the user's function from the source that was read when the study began."""
    sys.path.append(os.path.dirname(order["path"]))  # last: nothing of the library is shadowed
    names: dict[str, Any] = {"__name__": "tuneworthy_metric", "__file__": order["path"]}
    exec(compile(order["source"], order["path"], "exec"), names)
    if not callable(names.get(order["name"])):
        raise NameError(f"the file defines no function {order['name']}")
    target: Callable[..., Any] = names[order["name"]]
    return target


def schema(order: dict[str, Any]) -> Callable[..., Any]:
    """Return a function that says whether a value matches the schema; nothing is fetched."""
    import jsonschema
    from referencing import Registry

    default = jsonschema.Draft202012Validator
    kind = jsonschema.validators.validator_for(order["schema"], default=default)
    check: Callable[..., Any] = kind(order["schema"], registry=Registry()).is_valid
    return check


def plain(value: Any) -> float | str | None:
    """Return a value that a JSON line can carry: None, a float or a text."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "__float__"):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    raise TypeError(f"the function returned a {type(value).__name__}, not a number")


def why(error: BaseException) -> str:
    """Return one line: what was raised, and the last line of the user's code that was reached."""
    text = f"{type(error).__name__}: {error}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return f"{text} (line {frames[-1].lineno})" if frames else text


def call(target: Callable[..., Any], order: dict[str, Any]) -> dict[str, Any]:
    """Run one call inside its seconds and return the line to send back."""
    seconds = order["seconds"]
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 2)
    signal.alarm(math.ceil(seconds) + 2)
    try:
        return {"value": plain(target(*order["args"]))}
    except MemoryError:
        return {"error": "MemoryError: past the memory limit"}
    except BaseException as error:  # sys.exit in a metric is a crash, not our end
        return {"error": why(error)[:500]}
    finally:
        signal.alarm(0)


def main() -> None:
    """Serve calls until stdin ends."""
    lines, out = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the code prints must not look like an answer
    order = json.loads(lines.readline())
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, order["memory"])
    hello = {"ready": True, "network": cut_network()}
    try:
        target = schema(order) if "schema" in order else function(order)
    except BaseException as error:
        hello = {"fatal": why(error)[:500]}
    print(json.dumps(hello), file=out, flush=True)
    if "fatal" in hello:
        return
    for line in lines:
        print(json.dumps(call(target, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
