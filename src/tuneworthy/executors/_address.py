"""Read the address of a cluster in `--on` or `executor`. Connects to nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuneworthy.core.addresses import refuse_address
from tuneworthy.core.errors import TaskError

_HOST_AND_PORT = re.compile(
    r"(?P<client>ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d+)"
)
_ADDRESS_FORMS = (
    "local, ray (one that we start), auto (the one on this machine), HOST:PORT or ray://HOST:PORT"
)


@dataclass(frozen=True)
class Address:
    """A cluster's address: `kind` is the plug-in, `name` the address for it; host, port if given.

    `name` is `own` for a cluster that we start and end, `auto` for the one on this machine.
    """

    kind: str
    name: str
    host: str = ""
    port: int = 0


def address_of(text: str) -> Address | None:
    """Return the address that a text means; None for "local", this process.

    Raises TaskError for a text that is no address, SecurityError for a forbidden one.
    """
    if text == "local":
        return None
    if text in ("ray", "auto"):
        return Address("ray", "own" if text == "ray" else text)
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise TaskError(
            "that is no place to run arms on",
            where="--on, or executor in task.yaml",
            got=text,
            fix=f"write {_ADDRESS_FORMS}",
        )
    host = match["host"].strip("[]")
    refuse_address(host)
    return Address("ray", text, host, int(match["port"]))
