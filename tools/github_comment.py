"""Write a gate's comment on a pull request, or update the one that is there.

usage: github_comment.py NUMBER FILE   with GITHUB_TOKEN and GITHUB_REPOSITORY set; GITHUB_API_URL
names another server, COMMENT_AUTHOR the account whose comment is updated (github-actions[bot]).

The first line of FILE is a hidden marker: the oldest comment of that account that begins with it is
updated, so each gate has one. A token that may not write is no failure: a warning is printed.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MOST_LETTERS = 60_000  # GitHub refuses a body of more than 65,536
MOST_PAGES = 30


def main(number: str, file: str) -> int:
    """Update or create the comment; return the exit code, 0 where the token may not write."""
    body = Path(file).read_text("utf-8")[:MOST_LETTERS]
    marker = body.partition("\n")[0]
    comments = f"issues/{int(number)}/comments"
    try:
        found = own_comment(comments, marker)
        if found is None:
            call("POST", comments, {"body": body})
        else:
            call("PATCH", f"issues/comments/{found}", {"body": body})
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise
        print(f"::warning::no comment was written: the token may not ({error.code}). The summary"
              " of this run has the same text.")  # fmt: skip
        return 0
    print("the comment was written" if found is None else "the comment was updated")
    return 0


def own_comment(comments: str, marker: str) -> int | None:
    """Return the id of the oldest comment of our account that begins with a marker, or None."""
    author = os.environ.get("COMMENT_AUTHOR", "github-actions[bot]")
    for page in range(1, MOST_PAGES + 1):
        found = call("GET", f"{comments}?per_page=100&page={page}")
        for comment in found:
            if comment["user"]["login"] == author and comment["body"].startswith(marker):
                return int(comment["id"])
        if len(found) < 100:
            return None
    return None


def call(method: str, path: str, sent: dict[str, str] | None = None) -> Any:
    """Return the answer of the API of this repository. Raises HTTPError, URLError."""
    server = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    request = urllib.request.Request(
        f"{server}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        None if sent is None else json.dumps(sent).encode(),
        {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
         "Accept": "application/vnd.github+json", "Content-Type": "application/json"},
        method=method,
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
