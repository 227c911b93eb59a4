"""Where a remote model is asked, and whether the key may go there. Opens no connection."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tuneworthy.core.errors import SecurityError, TaskError

OPENAI = "https://api.openai.com/v1"
_METADATA_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data",
                   "instance-data.ec2.internal"}  # fmt: skip
# AWS and Google over IPv6, Alibaba, Oracle, Azure: not link-local, and metadata all the same.
_METADATA_NUMBERS = {"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192",
                     "168.63.129.16"}  # fmt: skip
_EMBEDS = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


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
    refuse_address(host)
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}", host


def refuse_address(host: str) -> None:
    """Raise SecurityError for a host, by name or number, that belongs to the machine's own cloud.

    Link-local, multicast and metadata addresses hand out credentials; no model answers there.
    Loopback and private networks are allowed.
    """
    if _is_forbidden(host):
        raise SecurityError(
            "this address belongs to the machine's own cloud, not to a model",
            got=host,
            fix="write the address of the model's server",
        )


def refuse_resolved(where: Endpoint) -> None:
    """Raise SecurityError where the host's name resolves to such an address.

    A name that does not resolve here is left to the connection (a proxy may know it).
    """
    parts = urlsplit(where.origin)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, address in found:
        refuse_address(str(address[0]))


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host written as a number, in any of the forms that resolvers take."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            found = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return _inner(found) or found


def _inner(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside an IPv6 one: mapped, compatible, 6to4 or NAT64."""
    if not isinstance(found, ipaddress.IPv6Address):
        return None
    if (known := found.ipv4_mapped or found.sixtofour) is not None:
        return known
    if any(found in network for network in _EMBEDS) and int(found) & 0xFFFFFFFF > 0xFFFF:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return None


def _is_forbidden(host: str) -> bool:
    number = _number(host)
    if number is None:
        return host.lower().rstrip(".") in _METADATA_NAMES
    plain = str(number).partition("%")[0]
    return (
        number.is_link_local
        or number.is_multicast
        or number.is_unspecified
        or plain in _METADATA_NUMBERS
    )


def on_this_machine(url: str) -> bool:
    """Return whether an address is one of this machine's own: its time is ours to price."""
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return host == "localhost" if number is None else number.is_loopback
