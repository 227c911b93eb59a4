"""Serve one model over HTTP and ask it 32 at a time and alone, beside the engine's own calls.

usage: serve.py [repetitions [prompts [case]]]   prompts (192) that share an instruction, at most
40 new tokens each, greedy; `case`: instruction, examples or schema alone

The server runs in this process on the weights that the engine's own calls use; the clients are a
process of their own, with one open connection each, on the same cores. Bulk is `reply` on all
prompts at once, or on 32 at a time, as many as are in flight. The sides alternate, so other load on
the machine meets all. Answers are compared text by text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from _bench import alternate, repetitions, write

FLIGHT, NEW, ALONE = 32, 40, 4
PROMPTS = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[1] != "--client" else 192


class Head:
    """A system as `build` leaves it: the same messages before each input, one greedy answer."""

    def __init__(self, artefact: Any, engine: Any, head: Sequence[Any], limits: Any) -> None:
        self.artefact, self.model, self.limits = artefact, engine, limits
        self._head = tuple(head)

    def prompts(self, queries: Sequence[Any]) -> list[Any]:
        """Return the prompt of each query."""
        return [(*self._head, *query.messages) for query in queries]

    def answer(self, queries: Sequence[Any]) -> list[Any]:
        """Return one answer per query."""
        replies = self.model.reply(self.prompts(queries), self.limits)
        return list(replies)


def main() -> None:
    """Run the cases, print the ratios, and write bench/results/serve.json."""
    from generate import SCHEMA, SHOTS, SYSTEM, messages

    from tuneworthy.models import open_model
    from tuneworthy.records.case import Message
    from tuneworthy.records.model import Grammar, Limits

    engine = open_model("smollm2-135m", folder=Path())
    rows = messages(PROMPTS + SHOTS)
    instruction = Message(role="system", content=SYSTEM)
    shots = [Message(role=role, content=text) for row in rows[PROMPTS:] for role, text in row]
    texts = [row[0][1] for row in rows[:PROMPTS]]
    free = Limits(max_tokens=NEW)
    held = Limits(max_tokens=96, grammar=Grammar(kind="json", value=SCHEMA))
    cases: dict[str, tuple[list[Any], Limits]] = {
        "instruction": ([instruction], free),
        "examples": ([instruction, *shots], free),
        "schema": ([instruction], held),
    }
    chosen = sys.argv[3:] or list(cases)
    told = {name: case(name, engine, cases[name][0], texts, cases[name][1]) for name in chosen}
    write("serve", {**told, "prompts": PROMPTS, "in_flight": FLIGHT, "summary": summary(told)})


def summary(told: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that the goals name."""
    found: dict[str, Any] = {}
    for name, one in told.items():
        found[f"{name}: share of bulk tokens a second (goal .8)"] = one["share_of_bulk"]
        found[f"{name}: share of bulk in calls of {FLIGHT}"] = one["share_of_bulk_of_32"]
        found[f"{name}: one request, times the in-process call (goal 1.2)"] = one["alone_ratio"]
        for side, count in one["equal"].items():
            found[f"{name}: answers of {side} equal to bulk, of {PROMPTS}"] = count
    return found


def case(name: str, engine: Any, head: Sequence[Any], texts: Sequence[str], limits: Any) -> Any:
    """Time bulk against served, and one call against one request; compare the answers."""
    from tuneworthy.records.case import Message

    prompts = [(*head, Message(role="user", content=text)) for text in texts]
    made: dict[str, Any] = {}
    with served(engine, head, limits) as address:
        client = Client(address)
        sides = {
            "bulk": lambda: made.update(bulk=engine.reply(prompts, limits)),
            "bulk_of_32": lambda: made.update(
                parts=[
                    reply
                    for at in range(0, len(prompts), FLIGHT)
                    for reply in engine.reply(prompts[at : at + FLIGHT], limits)
                ]
            ),
            "served": lambda: made.update(served=client.ask(texts, FLIGHT)),
        }
        timed = alternate(sides, repetitions(), warm=False)
        one = {
            "in_process": lambda: [engine.reply([p], limits) for p in prompts[:ALONE]],
            "request": lambda: made.update(alone=client.ask(texts[:ALONE], 1)),
        }
        alone = alternate(one, repetitions(), warm=False)
        raw = {
            "in_process": lambda: [engine.reply([p[-1:]], limits_of(NEW)) for p in prompts[:ALONE]],
            "request": lambda: client.ask(texts[:ALONE], 1, "smollm2-135m", NEW),
        }
        plain = alternate(raw, repetitions(), warm=False)
        client.close()
    bulk = sum(reply.tokens_out for reply in made["bulk"])
    tokens = {
        "bulk": bulk,
        "bulk_of_32": bulk,
        "served": sum(reply["tokens"] for reply in made["served"]["replies"]),
    }
    speed = {side: tokens[side] / timed["median"][side] for side in sides}
    truth = [reply.text for reply in made["bulk"]]
    texts_of = {
        "served": [reply["text"] for reply in made["served"]["replies"]],
        "bulk_of_32": [reply.text for reply in made["parts"]],
    }
    equal = {side: sum(map(str.__eq__, truth, found)) for side, found in texts_of.items()}
    told = {
        **timed,
        "tokens": tokens,
        "tokens_per_second": {side: round(value, 1) for side, value in speed.items()},
        "share_of_bulk": round(speed["served"] / speed["bulk"], 3),
        "share_of_bulk_of_32": round(speed["served"] / speed["bulk_of_32"], 3),
        "equal": equal,
        "latency": made["served"]["latency"],
        "alone": alone,
        "alone_ratio": round(alone["median"]["request"] / alone["median"]["in_process"], 3),
        "alone_raw": plain,
        "alone_raw_ratio": round(plain["median"]["request"] / plain["median"]["in_process"], 3),
    }
    print(
        f"serve, {name}: bulk {speed['bulk']:.0f}, served {speed['served']:.0f} tokens/s"
        f" ({told['share_of_bulk']:.2f}; {told['share_of_bulk_of_32']:.2f} of calls of {FLIGHT});"
        f" alone {told['alone_ratio']:.2f} times the call,"
        f" raw {told['alone_raw_ratio']:.2f}; {equal} of {len(texts)} answers equal to bulk",
        flush=True,
    )
    return told


def limits_of(most: int) -> Any:
    """Return greedy limits."""
    from tuneworthy.records.model import Limits

    return Limits(max_tokens=most)


@contextlib.contextmanager
def served(engine: Any, head: Sequence[Any], limits: Any) -> Iterator[str]:
    """Serve the engine under its own name and as an artefact; yield the address."""
    import uvicorn

    from tuneworthy.handover.serve.http_app import make_app
    from tuneworthy.handover.serve.served_models import Openers, ServedModels
    from tuneworthy.handover.serve.served_versions import versions_in
    from tuneworthy.handover.serve.service import Service
    from tuneworthy.records.artefact import Artefact, Pack

    pack = Pack(limits=limits)
    artefact = Artefact(id="0" * 12, name="bench", arm="zero_shot", tool="prompt", made_by="bench",
                        model="smollm2-135m", pack=pack, task={})  # fmt: skip
    models = ServedModels(256)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "artefact.json").write_text(artefact.model_dump_json())
        found = versions_in(Path(folder))
        system = Head(artefact, engine, head, limits)
        models.open_versions(Path(folder), found, Openers(lambda *_: system, lambda _: engine))
        service = Service("bench", models=models)
        taken = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(service), log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{taken.getsockname()[1]}"
        finally:
            server.should_exit = True
            models.stop()
            thread.join()


class Client:
    """Clients in a process of their own: a line of JSON in is a round, a line out its replies."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--client", address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(
        self, texts: Sequence[str], flight: int, model: str = "bench", most: int | None = None
    ) -> dict[str, Any]:
        """Ask all texts, `flight` at a time; return the replies in order, and latencies."""
        assert self._process.stdin
        assert self._process.stdout
        order = {"texts": list(texts), "flight": flight, "model": model, "most": most}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        replies: dict[str, Any] = json.loads(self._process.stdout.readline())
        return replies

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


async def _rounds(address: str) -> None:
    host, _, port = address.partition(":")
    for line in sys.stdin:
        order = json.loads(line)
        left = list(enumerate(order["texts"]))[::-1]
        replies: list[Any] = [None] * len(left)
        seconds: list[float] = []

        async def one(
            left: list[Any], replies: list[Any], seconds: list[float], order: Any
        ) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            while left:
                at, text = left.pop()
                body: dict[str, Any] = {
                    "model": order["model"], "messages": [{"role": "user", "content": text}]
                }  # fmt: skip
                if order["most"]:
                    body["max_tokens"] = order["most"]
                begun = time.perf_counter()
                replies[at] = await _exchange(reader, writer, address, body)
                seconds.append(time.perf_counter() - begun)
            writer.close()

        await asyncio.gather(*(one(left, replies, seconds, order) for _ in range(order["flight"])))
        ranked = sorted(seconds)
        latency = {
            "p50": round(ranked[len(ranked) // 2], 3),
            "p95": round(ranked[-len(ranked) // 20], 3),
        }
        print(json.dumps({"replies": replies, "latency": latency}), flush=True)


async def _exchange(reader: Any, writer: Any, address: str, body: Any) -> dict[str, Any]:
    data = json.dumps(body).encode()
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer bench\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    lines = head.lower().split(b"\r\n")
    size = next(int(one.split(b":")[1]) for one in lines if one.startswith(b"content-length"))
    reply = json.loads(await reader.readexactly(size))
    return {"text": reply["choices"][0]["message"]["content"],
            "tokens": reply["usage"]["completion_tokens"]}  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        asyncio.run(_rounds(sys.argv[2]))
    else:
        main()
