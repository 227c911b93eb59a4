"""The address of a remote model, and whether the API key may be sent there. Opens no connection."""

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
# AWS and Google over IPv6, Alibaba, Oracle, Azure: metadata addresses that are not link-local.
_METADATA_ADDRESSES = {"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192",
                     "168.63.129.16"}  # fmt: skip
_NETWORKS_WITH_IPV4 = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


@dataclass(frozen=True)
class Endpoint:
    """An address and the key to send there (None: no key). The key is never shown.

    `started` identifies the command of a server that we started: its address changes with each
    start, so stored answers have this name instead.
    """

    url: str
    origin: str
    key: str | None = field(repr=False)
    loopback: bool
    started: str = ""


def endpoint(url: str | None) -> Endpoint:
    """Return the endpoint of a URL; OPENAI_API_KEY is its key only at OPENAI_BASE_URL (or OpenAI).

    Raises SecurityError for forbidden addresses, and for those that would expose the key.
    """
    home = os.environ.get("OPENAI_BASE_URL") or OPENAI
    return endpoint_of(url or home, home, ("OPENAI_API_KEY", OPENAI))


def endpoint_of(address: str, home: str, key_of: tuple[str, str]) -> Endpoint:
    """Return the endpoint of an address; the key in `key_of`'s variable is used at `home` only.

    `key_of` is (environment variable, the vendor's address). Raises the errors of `endpoint`, and
    TaskError if there is no key for the vendor's address.
    """
    variable, vendor = key_of
    origin, host = _origin(address)
    local = _is_loopback(host)
    key = key_in(variable)
    if key and origin != _origin(home)[0]:
        key = None
    if key and address.startswith("http:") and not local:
        raise SecurityError(
            "the key would travel unencrypted",
            got=origin,
            fix=f"use https, or unset {variable} for a server that needs none",
        )
    if key is None and origin == _origin(vendor)[0]:
        raise TaskError(
            "there is no key for this endpoint", got=origin, fix=f"set {variable} and run again"
        )
    return Endpoint(address.rstrip("/"), origin, key, local)


def keyless(address: str) -> Endpoint:
    """Return the endpoint of an address that gets no key. Raises SecurityError or TaskError."""
    origin, host = _origin(address)
    return Endpoint(address, origin, None, _is_loopback(host))


def lacks_key(url: str | None) -> bool:
    """Return whether the address (None: the default) is OpenAI's and OPENAI_API_KEY is not set."""
    address = url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    return urlsplit(address).netloc == urlsplit(OPENAI).netloc and not key_in("OPENAI_API_KEY")


def key_in(variable: str) -> str | None:
    """Return the key in an environment variable without the line end of a file; None for no key.

    Raises SecurityError, without the key in it, if no header can hold it: libraries print such a
    header whole.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SecurityError(
            "the key holds a character that no header can carry",
            where=f"environment variable {variable}",
            got="(not shown) a line end, a control or a letter that is not ASCII inside the key",
            fix="set the key alone, on one line",
        )
    return key or None


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
    """Raise SecurityError if a host is link-local, multicast or the metadata service of a cloud.

    A machine's cloud gives out credentials at such addresses; no model is served there. Loopback
    and private networks are allowed.
    """
    if _is_forbidden(host):
        raise SecurityError(
            "this address belongs to the machine's own cloud, not to a model",
            got=host,
            fix="write the address of the model's server",
        )


def refuse_resolved(where: Endpoint) -> None:
    """Raise SecurityError if the endpoint's host name resolves to a forbidden address.

    A name that does not resolve here is left to the connection (a proxy may resolve it).
    """
    parts = urlsplit(where.origin)
    try:
        addresses = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, address in addresses:
        refuse_address(str(address[0]))


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address of a numeric host, in any notation that resolvers accept; else None."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return _embedded_ipv4(address) or address


def _embedded_ipv4(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in an IPv6 address (mapped, compatible, 6to4, NAT64), or None."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if (embedded := address.ipv4_mapped or address.sixtofour) is not None:
        return embedded
    if (
        any(address in network for network in _NETWORKS_WITH_IPV4)
        and int(address) & 0xFFFFFFFF > 0xFFFF
    ):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_forbidden(host: str) -> bool:
    number = _ip_address(host)
    if number is None:
        return host.lower().rstrip(".") in _METADATA_NAMES
    plain = str(number).partition("%")[0]
    return (
        number.is_link_local
        or number.is_multicast
        or number.is_unspecified
        or plain in _METADATA_ADDRESSES
    )


def on_this_machine(url: str) -> bool:
    """Return whether a URL's host is this machine, so that the user pays for its compute time."""
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    number = _ip_address(host)
    return host == "localhost" if number is None else number.is_loopback
