"""Clients of the MCP server: in this process, on stdin and stdout, over loopback HTTP."""

import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tuneworthy.agents import mcp_server

ENV = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
SERVER = ["-m", "tuneworthy", "mcp"]


def walk(root, do, **options):
    """Run an async test with a client of the server of a folder, in this process."""

    async def whole():
        async with Client(mcp_server.mcp_server(root), **options) as client:
            return await do(client)

    return anyio.run(whole)


async def call(client, tool, told=None, **arguments):
    found = await client.call_tool(tool, arguments, progress_callback=told)
    assert not found.is_error, found.content
    return found.structured_content


async def waited(client, run):
    with anyio.fail_after(120):
        while (state := await call(client, "status", run=run))["state"] == "running":
            await anyio.sleep(0.2)
    return state


@asynccontextmanager
async def by_stdio(root, **options):
    words = StdioServerParameters(command=sys.executable, args=[*SERVER, str(root)], env=ENV)
    async with Client(stdio_client(words), **options) as client:
        yield client


@asynccontextmanager
async def by_http(root, **options):
    with http_server(root) as url:
        async with Client(url, **options) as client:
            yield client


@contextmanager
def http_server(root):
    """Serve a folder on a free loopback port; yield its address once it listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = [sys.executable, *SERVER, str(root), "--port", str(port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, env=ENV) as server:
        try:
            wait_until(lambda: _listens(port))
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.terminate()


def _listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready):
    for _ in range(1200):
        if ready():
            return
        time.sleep(0.05)
    pytest.fail("this was not ready within 60 s")
