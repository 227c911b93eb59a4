"""Send one request to a server that answers as OpenAI's do; return its outcome and how to retry.

The SDK's own retries and redirects are off: each attempt is reserved and settled separately. Server
output is redacted here, before it is truncated or parsed, so that no text has the key. The resolved
address of a name is checked before anything is sent to it. Knows no prompt and no price.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import openai

from tuneworthy.models.remote.endpoint import Endpoint
from tuneworthy.records.addresses import refuse_address
from tuneworthy.records.errors import ProviderError, SecurityError
from tuneworthy.records.redaction import Redactor
from tuneworthy.store import signals

_LARGEST_RESPONSE = 32_000_000  # bytes of one response
_LARGEST_ERROR = 256_000  # bytes of an error page that are read, enough for its message
_MOST_WHY_CHARACTERS = 300  # most characters kept of a server's message
_SPARE_SECONDS = 10.0  # that a request in flight gets when the minutes of a study are over
_KEY_SECONDS = 20.0  # timeout of the request that checks the key
_DOWN_CODES = {429, 502, 503, 504, 529}  # the server or its upstream accepts no requests now
_UNREAD = "X-Stainless-Raw-Response"  # the SDK then returns the response before it is read
DECISIONS = "/systemone"  # the path of typed questions, below the address
Kind = Literal["answer", "retry", "row", "fatal"]
_PROMPT_AT_FAULT = re.compile(
    r"context.{0,12}(?:length|window|size)|context_length|too (?:long|many tokens)|content.?"
    r"(?:filter|policy|management)|maximum.{0,20}(?:length|tokens)|exceeds? the.{0,30}(?:length|"
    r"limit|context)|string_above_max_length",
    re.I,
)
_LACKS_PERMISSION = re.compile(r"scope|permission", re.I)


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of retries: attempts of a request, seconds of an attempt and in all, waits between.

    A server's Retry-After is respected, up to `longest_wait`. `sleep` None: a wait that ends
    when the study is stopped.
    """

    attempts: int = 6
    request_seconds: float = 180.0
    total_seconds: float = 1800.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    sleep: Callable[[float], None] | None = None

    def attempt_seconds(self, left: float) -> float:
        """Return the most seconds of an attempt: `left`, and the study's rest and ten more."""
        return max(1.0, min(left, self.request_seconds, signals.seconds_left() + _SPARE_SECONDS))


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt: an answer in `body`, or a failure and how to handle it.

    Kind `row` fails one prompt, `fatal` all of them (a key, a model name, a quota). `billed`: False
    if nothing was charged, None if unknown. `alone`: the prompt itself is at fault (too long,
    filtered). `down`: the endpoint accepts no requests now. `parameter` is the request field that
    the server names as wrong.
    """

    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    fix: str = ""
    wait: float | None = None
    billed: bool | None = None
    seconds: float = 0.0
    alone: bool = False
    down: bool = False
    parameter: str = ""


class _ErrorStatus(openai.OpenAIError):
    """The server answered with an error status; `whole`: its page was read to the end."""

    def __init__(self, code: int, headers: Mapping[str, str], page: bytes, whole: bool) -> None:
        super().__init__(f"the server answered {code}")
        self.code, self.headers, self.page, self.whole = code, headers, page, whole


def connect(where: Endpoint, policy: RetryPolicy) -> openai.OpenAI:
    """Return an SDK client for an endpoint: no retries, no redirects, no proxy for loopback."""
    return openai.OpenAI(
        base_url=where.url,
        api_key=where.key or "none",
        max_retries=0,
        timeout=policy.request_seconds,
        http_client=openai.DefaultHttpxClient(
            follow_redirects=False,
            trust_env=not where.loopback,
            event_hooks={"request": [_guard_request], "response": [_raise_for_error]},
        ),
    )


def _guard_request(request: Any) -> None:
    own = {"trace": _refuse_forbidden_peer, "begun": time.perf_counter()}
    request.extensions = {**request.extensions, **own}


def _raise_for_error(response: Any) -> None:
    """Raise `_ErrorStatus` for an error status, its page read within limits of bytes and time.

    The SDK would read the whole page, however large or slow. A page that breaks off or never ends
    still has its status, which decides how the error is handled.
    """
    if response.is_success:
        return
    begun, seconds = (response.request.extensions[name] for name in ("begun", "timeout"))
    page = bytearray()
    try:
        whole = not _read_limited(
            page, response.iter_bytes(), _LARGEST_ERROR, begun + seconds["read"]
        )
    except Exception:  # the transport raises its own errors if the page breaks off
        whole = False
    finally:
        response.close()
    raise _ErrorStatus(response.status_code, response.headers, bytes(page), whole)


def _read_limited(raw: bytearray, chunks: Iterable[bytes], most: int, end: float) -> str:
    """Append chunks to `raw`; return "bytes" or "seconds", the limit that was exceeded, else "".

    Checked per chunk: a larger unit would hide a slow drip.
    """
    for chunk in chunks:
        raw += chunk
        if len(raw) > most:
            return "bytes"
        if time.perf_counter() > end:
            return "seconds"
    return ""


def _refuse_forbidden_peer(event: str, about: Any) -> None:
    """Close a new connection to a forbidden address and raise, before anything is sent."""
    if not event.endswith("connect_tcp.complete"):
        return
    peer = about["return_value"].get_extra_info("server_addr")
    try:
        refuse_address(str(peer[0]))
    except SecurityError:
        about["return_value"].close()
        raise


def refused_key(client: openai.OpenAI) -> str:
    """Return the server's message if it does not know the key (401 on listing models), else "".

    The request is free. A key without permission to list models is not wrong; a server without a
    list, or that does not answer, leaves the key unchecked.
    """
    try:
        with client.models.with_streaming_response.list(timeout=_KEY_SECONDS):
            return ""
    except _ErrorStatus as error:
        refused = error
    except Exception as error:
        if not isinstance(error.__cause__, _ErrorStatus):
            return ""
        refused = error.__cause__
    outcome = _refusal_outcome(refused, Redactor(client.api_key))
    return outcome.why if refused.code == 401 and not _LACKS_PERMISSION.search(outcome.why) else ""


def attempt(
    client: openai.OpenAI,
    body: dict[str, Any],
    retry_key: str,
    seconds: float,
    path: str = "/chat/completions",
) -> Outcome:
    """Send one request and return its outcome; never raises for a server's behaviour.

    Raises SecurityError if the connection led to a forbidden address.
    """
    begun = time.perf_counter()
    clean = Redactor(client.api_key)
    headers = {"Idempotency-Key": retry_key, _UNREAD: "stream"}
    try:
        sent: Any = client.post(
            path, cast_to=object, body=body, options={"headers": headers, "timeout": seconds}
        )
        with closing(sent) as response:
            raw = bytearray()
            passed = _read_limited(raw, response.iter_bytes(), _LARGEST_RESPONSE, begun + seconds)
        if passed == "bytes":
            return Outcome("row", why=f"the answer is larger than {_LARGEST_RESPONSE} bytes")
        if passed == "seconds":
            return Outcome("retry", why=f"the answer took longer than {seconds:.0f} s")
    except SecurityError:
        raise
    except _ErrorStatus as error:
        return _refusal_outcome(error, clean)
    except openai.APITimeoutError as error:
        never = type(error.__cause__).__name__ == "ConnectTimeout"
        return Outcome("retry", why=f"no answer within {seconds:.0f} s", down=never,
                       billed=False if never else None)  # fmt: skip
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, SecurityError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, _ErrorStatus):  # older SDKs wrap it
            return _refusal_outcome(error.__cause__, clean)
        return _connection_outcome(error, clean)
    except Exception as error:  # a broken stream raises the transport's own exception
        why = clean.text(f"the connection broke: {type(error).__name__}: {error}")
        return Outcome("retry", why=why[:_MOST_WHY_CHARACTERS])
    return _parse_answer(raw, time.perf_counter() - begun, clean, path)


def _parse_answer(raw: bytes | bytearray, seconds: float, clean: Redactor, path: str) -> Outcome:
    try:
        body = clean.json(json.loads(raw))
    except (ValueError, RecursionError):
        start = clean.text(raw[:2000].decode("utf-8", "replace"))[:60]
        return Outcome("retry", why=f"the answer is no JSON: {start!r}" if raw else "empty answer")
    if not isinstance(body, dict) or body.get("error"):
        return Outcome("retry", why=f"an error in place of an answer: {str(body)[:120]}")
    if path == DECISIONS:
        why = "" if isinstance(body.get("answers"), dict) else "the answer has no `answers`"
    else:
        why = _chat_fault(body.get("choices"))
    if why:
        return Outcome("retry", why=why)
    return Outcome("answer", body=body, billed=True, seconds=seconds)


def _chat_fault(choices: Any) -> str:
    """Return what is missing in the choices of a chat completion, or ""."""
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return "the answer has no choices"
    return "" if isinstance(choices[0].get("message"), dict) else "the answer has no message"


def _refusal_outcome(error: _ErrorStatus, clean: Redactor) -> Outcome:
    code, body = error.code, _error_message(error, clean)
    details = body if isinstance(body, dict) else {}
    message = details.get("message") or body or f"Error code: {code}"  # some servers use other keys
    text = clean.text(f"{code}: {message}")[:_MOST_WHY_CHARACTERS]
    name = f"{details.get('code')} {details.get('type')} {text}".lower()
    if 300 <= code < 400:
        return Outcome("fatal", why=f"{code}: the server sends us elsewhere", billed=False,
                       fix="write the address that it sends to, if you trust it")  # fmt: skip
    if code in {401, 403}:
        return Outcome("fatal", why=text, billed=False,
                       fix="check OPENAI_API_KEY; it is only sent to OPENAI_BASE_URL")  # fmt: skip
    if code == 404:
        return Outcome("fatal", why=text, billed=False,
                       fix="check the model's name, and the address (often …/v1)")  # fmt: skip
    # The message may quote the prompt: only the code and the type say that money is short.
    kind = f"{details.get('code')} {details.get('type')}".lower()
    if code == 402 or "insufficient_quota" in kind or "billing" in kind:
        return Outcome("fatal", why=text, billed=False, fix="top up the account, then run again")
    alone = code == 413 or _PROMPT_AT_FAULT.search(name) is not None
    if code in {408, 409, 425, 429} or code >= 500:
        wait, down = _retry_after(error.headers.get("retry-after")), code in _DOWN_CODES
        billed = None if code in {408, 504} else False  # the work may have been done behind it
        return Outcome("retry", why=text, wait=wait, billed=billed, down=down,
                       alone=alone and code == 500)  # fmt: skip
    parameter = clean.text(str(details.get("param") or ""))[:80]
    return Outcome("row", why=text, billed=False, alone=alone, parameter=parameter)


def _error_message(error: _ErrorStatus, clean: Redactor) -> Any:
    """Return `error` or `detail` of a JSON error page, else the page: JSON if it is, else text."""
    try:
        body = json.loads(error.page)
    except (ValueError, RecursionError):
        text = error.page.decode("utf-8", "replace").strip()
        return text if error.whole else f"{clean.end(text)} … (the rest of its page did not come)"
    return body.get("error", body.get("detail", body)) if isinstance(body, dict) else body


def _connection_outcome(error: openai.APIConnectionError, clean: Redactor) -> Outcome:
    cause = error.__cause__
    name = type(cause).__name__ if cause else type(error).__name__
    sent = name not in {"ConnectError", "ConnectTimeout", "UnsupportedProtocol", "ProxyError"}
    why = clean.text(f"{name}: {cause or error}")[:_MOST_WHY_CHARACTERS]
    return Outcome("retry", why=why, billed=None if sent else False, down=not sent)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds in a Retry-After header, None without a usable value."""
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


def pause_seconds(policy: RetryPolicy, outcome: Outcome, tries: int, key: str) -> float:
    """Return the seconds to wait: the server's Retry-After, or exponential with a fixed jitter."""
    if outcome.wait is not None:
        return min(outcome.wait, policy.longest_wait)
    spread = int.from_bytes(hashlib.sha256(f"{key} {tries}".encode()).digest()[:4], "big") / 2**32
    return float(min(policy.first_wait * 2**tries * (0.5 + spread), policy.longest_wait))


def unanswered_error(outcome: Outcome, where: Endpoint, model: str) -> ProviderError:
    """Return the error for an endpoint that did not answer in all attempts."""
    return ProviderError(
        f"the endpoint does not answer for model `{model}`",
        where=where.origin,
        got=outcome.why,
        fix=outcome.fix or "see whether the server is up, then run again",
        kept="all answers so far; `tuneworthy run` continues where it stopped",
    )
