"""Read the body of a request within limits of size and time. Knows no route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tuneworthy.handover.serve.chat_reply import ApiError

BODY_SECONDS = 30.0  # a body that arrives more slowly is refused


DISCARD_TIMES, DISCARD_SECONDS = 4, 1.0  # of a too large body, read on: times the limit, seconds


def _check_json_type(content_type: str) -> None:
    """Raise ApiError (415) for a body that is not sent as application/json."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "The body must be sent as application/json.", code="invalid_json")


async def read_body(stream: AsyncIterator[bytes], most: int) -> bytes:
    """Return a body of at most `most` bytes. Raises ApiError: too large (413) or too slow (408)."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS) as limit:
            async for part in stream:
                size += len(part)
                if size <= most:
                    parts.append(part)
                    continue
                parts = []  # read on for a moment: a client that still sends would miss the reply
                limit.reschedule(asyncio.get_running_loop().time() + DISCARD_SECONDS)
                if size > DISCARD_TIMES * most:
                    break
    except TimeoutError:
        if size <= most:
            raise ApiError(408, "The body did not arrive in time.", code="timeout") from None
    if size > most:
        raise ApiError(413, f"The body has more than {most} bytes.", code="body_too_large")
    return b"".join(parts)
