"""Where a remote model is asked, and whether the key may go there. Opens no connection."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tuneworthy.core.errors import SecurityError, TaskError

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Endpoint:
    """An address and the key that belongs to it (None: no key is sent). The key is never shown."""

    url: str
    origin: str
    key: str | None = field(repr=False)
    loopback: bool


def endpoint(url: str | None) -> Endpoint:
    """Return where to ask; OPENAI_API_KEY goes to OPENAI_BASE_URL (or OpenAI), nowhere else.

    Raises SecurityError for addresses that no model has, or that would give the key away.
    """
    home = os.environ.get("OPENAI_BASE_URL") or OPENAI
    asked = url or home
    origin, host = _origin(asked)
    local = _is_loopback(host)
    key = os.environ.get("OPENAI_API_KEY") or None
    if key and origin != _origin(home)[0]:
        key = None
    if key and asked.startswith("http:") and not local:
        raise SecurityError(
            "the key would travel unencrypted",
            got=origin,
            fix="use https, or unset OPENAI_API_KEY for a server that needs none",
        )
    if key is None and origin == _origin(OPENAI)[0]:
        raise TaskError(
            "there is no key for this endpoint", got=origin, fix="set OPENAI_API_KEY and run again"
        )
    return Endpoint(asked.rstrip("/"), origin, key, local)


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise TaskError(
            "this is no address", got=url, fix="write openai:NAME@https://HOST/v1"
        ) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise TaskError("this is no address", got=url, fix="write openai:NAME@https://HOST/v1")
    if parts.username or parts.password or not host.isascii():
        raise SecurityError(
            "an address with a user name or with letters that look like others",
            got=host,
            fix="write the plain address; keys belong in OPENAI_API_KEY",
        )
    if _is_forbidden(host):
        raise SecurityError(
            "this address belongs to the machine's own cloud, not to a model",
            got=host,
            fix="write the address of the model's server",
        )
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}", host


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host written as a number, in any of the forms that resolvers take."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            found = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


def _is_forbidden(host: str) -> bool:
    number = _number(host)
    if number is None:
        return host in {"metadata.google.internal", "metadata"}
    return number.is_link_local or number.is_multicast or number.is_unspecified


def on_this_machine(url: str) -> bool:
    """Return whether an address is one of this machine's own: its time is ours to price."""
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return host == "localhost" if number is None else number.is_loopback
