"""What the lab's tests share: a browser that has opened the lab, waiting, settings of a case."""

import json
import time

from starlette.testclient import TestClient

from tuneworthy.lab.cases import case_of

PORT = 8123
ORIGIN = f"http://127.0.0.1:{PORT}"
SLUG = "never-stops"


def config(**changed):
    return {**case_of(SLUG).config("plant"), **changed}


def clean():
    return dict(case_of(SLUG).config("twin"))


def until(true, seconds=60.0):
    """Wait until a function returns something true, and return it."""
    for _ in range(int(seconds / 0.02)):
        if value := true():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def kinds(log):
    return [event["kind"] for event in log.events()]


class Browser(TestClient):
    """A browser that has opened the launch address; `post` sends what the lab's pages send."""

    def __init__(self, app, lab, *, launch=True, host="127.0.0.1"):
        super().__init__(app, base_url=ORIGIN, raise_server_exceptions=False, client=(host, 50000))
        self.lab = lab
        if launch:
            self.get(lab.access.launch_url().removeprefix(ORIGIN))

    def change(self, path, body=None, **headers):
        own = {"origin": ORIGIN, "x-csrf-token": self.lab.access.csrf}
        own |= {"content-type": "application/json"}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in own.items() if value is not None}
        content = body if isinstance(body, bytes | str) else json.dumps(body or {})
        return self.post(path, content=content, headers=sent)

    def stream(self, name, last=None):
        """Return (id, event) of all events of a run, up to its end."""
        headers = {"last-event-id": str(last)} if last is not None else {}
        text = self.get(f"/api/runs/{name}/events", headers=headers).text
        return parsed(text)


def parsed(text):
    blocks = [block.splitlines() for block in text.split("\n\n") if "data:" in block]
    fields = [dict(line.split(": ", 1) for line in block) for block in blocks]
    return [(int(each["id"]), json.loads(each["data"])) for each in fields]


def state_of(jobs, name):
    """Return the state of a run of this lab, None if no run has this id."""
    job = jobs._jobs.get(name)
    return job and job.state
