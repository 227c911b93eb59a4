"""The server scenarios of the protocol's conformance suite that a server like this one can pass.

They need `conformance` on the path: `npm install -g @modelcontextprotocol/conformance@0.1.16`, with
node 22. The suite's other scenarios call tools, prompts and resources that the tested server must
have for them, or ask for logging, completion and subscriptions, which this server does not offer.
`tools-call-error` gets the error of a tool that is not there.
"""

import shutil
import subprocess

import pytest
from tests.mcp_kit import http_server

CONFORMANCE = shutil.which("conformance")
APPLY = ["server-initialize", "ping", "tools-list", "tools-call-error", "resources-list",
         "prompts-list", "server-sse-multiple-streams", "dns-rebinding-protection"]  # fmt: skip
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CONFORMANCE is None, reason="the conformance suite is not installed"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with http_server(tmp_path_factory.mktemp("served")) as address:
        yield address


def conforms(url, scenario):
    words = [CONFORMANCE, "server", "--url", url, "--scenario", scenario]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("scenario", APPLY)
def test_the_server_conforms(url, scenario):
    done = conforms(url, scenario)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_scenario_whose_tool_is_not_there_fails(url):
    assert conforms(url, "tools-call-image").returncode != 0
