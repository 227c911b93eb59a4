"""Open the listening socket and read the access token. Imports nothing slow."""

from __future__ import annotations

import errno
import os
import socket

from tuneworthy.records.errors import TaskError


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket listening on host and port. Raises TaskError if they are taken or unknown."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        taken = error.errno == errno.EADDRINUSE
        raise TaskError(
            "another program listens on this address" if taken else "this address can't be used",
            where=f"--host {host} --port {port}",
            got=os.strerror(error.errno) if error.errno else str(error),
            fix=f"choose another port: --port {port + 1}",
            kept="everything",
        ) from error
    return opened


def read_token(environment: str) -> str:
    """Return the token in an environment variable. Raises TaskError if it is empty or unusable."""
    token = os.environ.get(environment, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise TaskError(
            "the environment variable holds no token",
            where=f"--token-env {environment}",
            got="nothing" if not token else "characters that no header may hold",
            fix=f"export {environment}=$(openssl rand -hex 24)",
            kept="everything",
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")
