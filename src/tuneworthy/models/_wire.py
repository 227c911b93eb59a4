"""One request to an OpenAI-compatible server, and what came of it. Owns the retries.

The SDK's own retries and redirects are off: each attempt is reserved and settled by itself. Knows
no prompt and no price.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import openai

from tuneworthy.core.errors import ProviderError
from tuneworthy.models._endpoint import Endpoint

LARGEST = 32_000_000  # bytes of one response
Kind = Literal["answer", "retry", "row", "fatal"]


@dataclass(frozen=True)
class Policy:
    """How patient we are: attempts a request, seconds a request and in all, waits between.

    A server's own Retry-After is kept to, up to `longest_wait`.
    """

    attempts: int = 6
    request_seconds: float = 180.0
    total_seconds: float = 1800.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Outcome:
    """What one attempt came to. `billed`: False where nothing was charged, None where unknown.

    `row` fails one prompt, `fatal` all of them (a key, a model name, a quota).
    """

    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    fix: str = ""
    wait: float | None = None
    billed: bool | None = None
    seconds: float = 0.0


def connect(where: Endpoint, policy: Policy) -> openai.OpenAI:
    """Return the client: no retries of its own, no redirects, no proxy for this machine."""
    return openai.OpenAI(
        base_url=where.url,
        api_key=where.key or "none",
        max_retries=0,
        timeout=policy.request_seconds,
        http_client=openai.DefaultHttpxClient(follow_redirects=False, trust_env=not where.loopback),
    )


def attempt(client: openai.OpenAI, body: dict[str, Any], retry_key: str, seconds: float) -> Outcome:
    """Send one request and say what came of it; never raises for what a server does."""
    begun = time.perf_counter()
    headers = {"Idempotency-Key": retry_key}
    try:
        with client.chat.completions.with_streaming_response.create(
            **body, extra_headers=headers, timeout=seconds
        ) as response:
            raw, read = (
                bytearray(),
                response.iter_bytes(),
            )  # as they come: a larger unit would hide a slow drip
            for chunk in read:
                raw += chunk
                if len(raw) > LARGEST:
                    return Outcome("row", why=f"the answer is larger than {LARGEST} bytes")
                if time.perf_counter() - begun > seconds:
                    return Outcome("retry", why=f"the answer took longer than {seconds:.0f} s")
    except openai.APIStatusError as error:
        return _status(error)
    except openai.APITimeoutError:
        return Outcome("retry", why=f"no answer within {seconds:.0f} s")
    except openai.APIConnectionError as error:
        return _connection(error)
    except Exception as error:  # a cut stream surfaces as the transport's own exception
        return Outcome("retry", why=f"the connection broke: {type(error).__name__}: {error}")
    return _parsed(raw, time.perf_counter() - begun)


def _parsed(raw: bytes | bytearray, seconds: float) -> Outcome:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        start = raw[:60].decode("utf-8", "replace")
        return Outcome("retry", why=f"the answer is no JSON: {start!r}" if raw else "empty answer")
    if not isinstance(body, dict) or body.get("error"):
        return Outcome("retry", why=f"an error in place of an answer: {str(body)[:120]}")
    choices = body.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return Outcome("retry", why="the answer has no choices")
    if not isinstance(choices[0].get("message"), dict):
        return Outcome("retry", why="the answer has no message")
    return Outcome("answer", body=body, billed=True, seconds=seconds)


def _status(error: openai.APIStatusError) -> Outcome:
    code = error.status_code
    said = error.body if isinstance(error.body, dict) else {}
    text = f"{code}: {said.get('message') or error.message}"[:300]
    name = f"{said.get('code')} {said.get('type')} {text}".lower()
    if 300 <= code < 400:
        return Outcome("fatal", why=f"{code}: the server sends us elsewhere", billed=False,
                       fix="write the address that it sends to, if you trust it")  # fmt: skip
    if code in {401, 403}:
        return Outcome("fatal", why=text, billed=False,
                       fix="check OPENAI_API_KEY; it is only sent to OPENAI_BASE_URL")  # fmt: skip
    if code == 404:
        return Outcome("fatal", why=text, billed=False,
                       fix="check the model's name, and the address (often …/v1)")  # fmt: skip
    if code == 402 or "insufficient_quota" in name or "billing" in name:
        return Outcome("fatal", why=text, billed=False, fix="top up the account, then run again")
    if code in {408, 409, 425, 429} or code >= 500:
        wait = _retry_after(error.response.headers.get("retry-after"))
        return Outcome("retry", why=text, wait=wait, billed=False)
    return Outcome("row", why=text, billed=False)


def _connection(error: openai.APIConnectionError) -> Outcome:
    cause = error.__cause__
    name = type(cause).__name__ if cause else type(error).__name__
    sent = name not in {"ConnectError", "ConnectTimeout", "UnsupportedProtocol", "ProxyError"}
    return Outcome("retry", why=f"{name}: {cause or error}"[:300], billed=None if sent else False)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a server asks to wait, None where it says nothing sensible."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return seconds if 0 <= seconds < float("inf") else None


def pause(policy: Policy, outcome: Outcome, tries: int, key: str) -> float:
    """Return how long to wait: as asked, or doubling with a spread that the key fixes."""
    if outcome.wait is not None:
        return min(outcome.wait, policy.longest_wait)
    spread = int.from_bytes(hashlib.sha256(f"{key} {tries}".encode()).digest()[:4], "big") / 2**32
    return float(min(policy.first_wait * 2**tries * (0.5 + spread), policy.longest_wait))


def refusal(outcome: Outcome, where: Endpoint, model: str) -> ProviderError:
    """Return the error for an endpoint that does not answer, after the policy is spent."""
    return ProviderError(
        f"the endpoint does not answer for model `{model}`",
        where=where.origin,
        got=outcome.why,
        fix=outcome.fix or "see whether the server is up, then run again",
        kept="all answers so far; `tuneworthy run` continues where it stopped",
    )
