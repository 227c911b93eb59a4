"""Who may use the lab: launch tokens that work once, the session's secret, names of the address.

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
    """The secret of the sessions, the launch tokens not used yet, and the allowed addresses."""

    port: int
    host: str = "127.0.0.1"
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    _launches: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> frozenset[str]:
        """Return the values of a Host header that are allowed, with the port."""
        names = {*HOST_NAMES, f"[{self.host}]" if ":" in self.host else self.host}
        return frozenset(f"{name}:{self.port}" for name in names)

    @property
    def origins(self) -> frozenset[str]:
        """Return the values of an Origin header that are allowed."""
        return frozenset(f"http://{host}" for host in self.hosts)

    @property
    def cookie(self) -> str:
        """Return the cookie's name: browsers send cookies to every port of a host."""
        return f"tuneworthy_lab_{self.port}"

    @property
    def csrf(self) -> str:
        """Return what a page of the lab sends with each change; no other page can read it."""
        return hmac.new(self.secret.encode(), b"csrf", "sha256").hexdigest()

    def is_csrf(self, given: str) -> bool:
        """Return whether a request comes from a page that could read the token."""
        return _same(self.csrf, given)

    def launch_url(self) -> str:
        """Return a new address that opens the lab once."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._launches.add(token)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/launch?token={token}"

    def redeem(self, token: str) -> bool:
        """Return whether a launch token is good, and make it useless."""
        found = [one for one in self._launches if _same(one, token)]
        self._launches.difference_update(found)
        return bool(found)

    def is_session(self, given: str) -> bool:
        """Return whether a cookie or a bearer token is the session's secret."""
        return _same(self.secret, given)


def _same(one: str, other: str) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))


def last_access(folder: Path) -> Access | None:
    """Return secret and port of the last lab on a folder, so that its open pages go on working."""
    try:
        kept = json.loads(read_file(folder / "session.json", 4096))
        access = Access(int(kept["port"]), secret=str(kept["secret"]))
        return access if len(access.secret) >= TOKEN_BYTES and 0 < access.port < 65536 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def keep_access(folder: Path, access: Access) -> None:
    """Write secret and port where only this user can read them. Raises OSError."""
    content = json.dumps({"port": access.port, "secret": access.secret}).encode()
    path, part = folder / "session.json", folder / "session.part"
    part.unlink(missing_ok=True)
    fd = private_file(part, os.O_EXCL)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
    os.replace(part, path)
