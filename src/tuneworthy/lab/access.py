"""Access to the lab: one-time launch tokens, the session's secret, allowed hosts and origins.

Knows no HTTP library.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from tuneworthy.lab.lab_folder import private_file, read_file

TOKEN_BYTES = 32  # 256 bits
HOST_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass
class Access:
    """The secret of the sessions, the unused launch tokens, and the allowed hosts and origins."""

    port: int
    host: str = "127.0.0.1"
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    _launches: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> frozenset[str]:
        """Return the allowed values of a Host header, each with the port."""
        names = {*HOST_NAMES, f"[{self.host}]" if ":" in self.host else self.host}
        return frozenset(f"{name}:{self.port}" for name in names)

    @property
    def origins(self) -> frozenset[str]:
        """Return the allowed values of an Origin header."""
        return frozenset(f"http://{host}" for host in self.hosts)

    @property
    def cookie(self) -> str:
        """Return the cookie's name; it has the port, as all ports of a host share cookies."""
        return f"tuneworthy_lab_{self.port}"

    @property
    def csrf(self) -> str:
        """Return the CSRF token, which a page of the lab sends with each change."""
        return hmac.new(self.secret.encode(), b"csrf", "sha256").hexdigest()

    def is_csrf(self, given: str) -> bool:
        """Return whether a text is the CSRF token."""
        return _equal_in_constant_time(self.csrf, given)

    def launch_url(self) -> str:
        """Return a new address with a launch token, which opens the lab once."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._launches.add(token)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/launch?token={token}"

    def redeem(self, token: str) -> bool:
        """Return whether a launch token is valid; each token is valid once."""
        found = [one for one in self._launches if _equal_in_constant_time(one, token)]
        self._launches.difference_update(found)
        return bool(found)

    def is_session(self, given: str) -> bool:
        """Return whether a cookie or a bearer token is the session's secret."""
        return _equal_in_constant_time(self.secret, given)


def _equal_in_constant_time(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))


def last_access(folder: Path) -> Access | None:
    """Return secret and port of the folder's last lab, for its open pages; None without one."""
    try:
        kept = json.loads(read_file(folder / "session.json", 4096))
        access = Access(int(kept["port"]), secret=str(kept["secret"]))
        return access if len(access.secret) >= TOKEN_BYTES and 0 < access.port < 65536 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_access(folder: Path, access: Access) -> None:
    """Write secret and port to a file that only this user can read. Raises OSError."""
    content = json.dumps({"port": access.port, "secret": access.secret}).encode()
    path, part = folder / "session.json", folder / "session.part"
    part.unlink(missing_ok=True)
    fd = private_file(part, os.O_EXCL)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
    os.replace(part, path)
