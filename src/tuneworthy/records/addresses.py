"""Refuse the addresses at which a machine's cloud gives out credentials. Opens no connection."""

from __future__ import annotations

import ipaddress
import socket

from tuneworthy.records.errors import SecurityError

_METADATA_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data",
                   "instance-data.ec2.internal"}  # fmt: skip
# AWS and Google over IPv6, Alibaba, Oracle, Azure: metadata addresses that are not link-local.
_METADATA_ADDRESSES = {"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192",
                     "168.63.129.16"}  # fmt: skip
_COMPATIBLE_AND_NAT64 = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def refuse_address(host: str) -> None:
    """Raise SecurityError if a host is link-local, multicast or the metadata service of a cloud.

    A machine's cloud gives out credentials at such addresses; no server of yours is there. Loopback
    and private networks are allowed.
    """
    if _is_forbidden(host):
        raise SecurityError(
            "this address belongs to the machine's own cloud, not to a server",
            got=host,
            fix="write the address of the server that is meant",
        )


def refuse_resolved_host(host: str | None, port: int | None) -> None:
    """Raise SecurityError if a host's name resolves to a forbidden address.

    A name that does not resolve here is left to the connection (a proxy may resolve it).
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, address in addresses:
        refuse_address(str(address[0]))


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
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
        any(address in network for network in _COMPATIBLE_AND_NAT64)
        and int(address) & 0xFFFFFFFF > 0xFFFF
    ):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_forbidden(host: str) -> bool:
    number = ip_address(host)
    if number is None:
        return host.lower().rstrip(".") in _METADATA_NAMES
    plain = str(number).partition("%")[0]
    return (
        number.is_link_local
        or number.is_multicast
        or number.is_unspecified
        or plain in _METADATA_ADDRESSES
    )
