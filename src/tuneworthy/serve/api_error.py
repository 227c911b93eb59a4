"""The error of the HTTP interface, in the form that OpenAI's clients read."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.record import well_formed


class ApiError(Exception):
    """A refused request: HTTP status, message, the field at fault (`param`) and a code.

    `retry_after` is in seconds. The message goes to the client: it names no path, no key and no
    text of another request. What it quotes of the request may hold lone surrogates, which no reply
    can: they are replaced.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, well_formed(message), code
        self.param = None if param is None else well_formed(param)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of the error reply."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    def plain(self) -> dict[str, Any]:
        """Return the JSON body of the reply: {"error": {"message", "type", "param", "code"}}."""
        kind = {429: "rate_limit_error"}.get(self.status, "invalid_request_error")
        kind = "server_error" if self.status >= 500 else kind
        return {
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        }


def bad_field(param: str, message: str, code: str | None = None) -> ApiError:
    """Return the error (400) for a field whose value can't be used."""
    return ApiError(400, message, param=param, code=code)
