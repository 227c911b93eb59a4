"""A real engine behind HTTP: served answers are the evaluated ones; adapters stay apart."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from models_kit import WORDS, make_adapter
from serve_kit import TOKEN, Prompted, artefact, left, post, raw, says, served, waits

from tuneworthy.records.artefact import Pack
from tuneworthy.records.case import Message, Query
from tuneworthy.records.model import Grammar, Limits

pytestmark = pytest.mark.full
TEXTS = [" ".join(WORDS[: 1 + k % 14]) + f" {k}" for k in range(40)]
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "n": {"enum": [1, 2, 3]}},
    "required": ["kind", "n"],
    "additionalProperties": False,
}


def queries(texts=TEXTS):
    return [Query(id=f"q{k}", messages=(Message(role="user", content=text),))
            for k, text in enumerate(texts)]  # fmt: skip


def text_of(reply):
    status, body, _ = reply
    assert status == 200, body
    return body["choices"][0]["message"]["content"]


def asked(address, pairs, workers=32):
    """Return the texts of (served name, text) pairs, asked all at once."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda pair: text_of(post(address, says(pair[1], pair[0]))), pairs))


def test_p17_concurrent_answers_in_any_order_are_the_evaluated_ones(engine, tmp_path):
    system = Prompted(artefact(model="hf:tiny"), engine)
    truth = [answer.text for answer in system.answer(queries())]
    assert len(set(truth)) > 20
    with served({"hf:tiny": engine}, [system], tmp_path) as (address, _):
        for seed in (0, 1):
            order = random.Random(seed).sample(range(len(TEXTS)), len(TEXTS))
            found = asked(address, [("tickets", TEXTS[k]) for k in order])
            assert found == [truth[k] for k in order]
        reply = post(address, says(TEXTS[0], "tickets"))[1]
        prompt = system.prompts(queries()[:1])[0]
        assert reply["usage"]["prompt_tokens"] == engine.count_tokens(prompt)


def test_p17_base_and_adapters_are_never_mixed(engine, tmp_path):
    for seed in (1, 2):
        make_adapter(engine, tmp_path / f"lora{seed}", seed=seed)
    models = {f"t{seed}": engine.with_adapter(tmp_path / f"lora{seed}") for seed in (1, 2)}
    systems = [
        Prompted(artefact(name, "0" * 12, model="hf:tiny", pack=Pack(adapter=True)), model)
        for name, model in models.items()
    ]
    names = ["hf:tiny", "t1:raw", "t2:raw"]
    by_name = dict(zip(names, [engine, *models.values()], strict=True))
    plain = [(Message(role="user", content=text),) for text in TEXTS]
    most = Limits(max_tokens=12)
    truth = {name: [r.text for r in m.reply(plain, most)] for name, m in by_name.items()}
    truth |= {s.artefact.name: [a.text for a in s.answer(queries())] for s in systems}
    assert len({tuple(texts) for texts in truth.values()}) == 5, "each answers in its own way"
    with served({"hf:tiny": engine}, systems, tmp_path / "build", most_tokens=12) as (address, s):
        assert len(s.models.workers) == 1, "one process, one set of weights"
        before = asked(address, [("hf:tiny", text) for text in TEXTS[:8]])
        pairs = [(name, k) for name in truth for k in range(len(TEXTS))]
        random.Random(3).shuffle(pairs)
        found = asked(address, [(name, TEXTS[k]) for name, k in pairs])
        wrong = [pair for pair, text in zip(pairs, found, strict=True)
                 if text != truth[pair[0]][pair[1]]]  # fmt: skip
        assert wrong == []
        assert asked(address, [("hf:tiny", text) for text in TEXTS[:8]]) == before
        assert before == truth["hf:tiny"][:8]


def test_n8_a_stream_is_the_whole_answer(engine):
    with served({"tiny": engine}, most_tokens=200) as (address, _):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key=TOKEN, max_retries=0)
        counted = 0
        for text in TEXTS[:6]:
            whole = client.chat.completions.create(**says(text, "tiny"))
            more = {"stream": True, "stream_options": {"include_usage": True}}
            parts = list(client.chat.completions.create(**says(text, "tiny", **more)))
            deltas = [p.choices[0].delta.content or "" for p in parts if p.choices]
            assert "".join(deltas) == whole.choices[0].message.content
            assert parts[-1].usage == whole.usage
            counted += sum(map(bool, deltas))
        assert counted > 12, "they come in parts"


def test_a_schema_holds_and_a_broken_one_is_refused(engine):
    with served({"tiny": engine}) as (address, _):
        form = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
        value = json.loads(text_of(post(address, says("a", "tiny", response_format=form))))
        assert set(value) == {"kind", "n"}
        client = openai.OpenAI(base_url=f"{address}/v1", api_key=TOKEN, max_retries=0)
        same = client.chat.completions.create(**says("a", "tiny", response_format=form))
        assert json.loads(same.choices[0].message.content) == value
        free = {"type": "json_object"}
        text = text_of(post(address, says("a", "tiny", response_format=free, max_tokens=30)))
        assert isinstance(json.loads(text), dict)
        deep = {"type": "object"}
        for _ in range(100):
            deep = {"type": "object", "properties": {"a": deep}}
        bad = [{"type": "nonsense"}, {"$ref": "https://example.org/s.json"}, {"$ref": "file:///x"},
               {"type": "string", "pattern": "("}]  # fmt: skip
        for schema in bad:
            form["json_schema"]["schema"] = schema
            status, body, _ = post(address, says("a", "tiny", response_format=form))
            assert (status, body["error"]["param"]) == (400, "response_format"), schema
        form["json_schema"]["schema"] = deep  # refused with its body: no JSON here is so deep
        status, body, _ = post(address, says("a", "tiny", response_format=form))
        assert (status, body["error"]["code"]) == (400, "invalid_json")
        assert post(address, says("a", "tiny", max_tokens=3))[0] == 200


def test_sampling_follows_the_seed_and_n_gives_other_draws(engine):
    with served({"tiny": engine}, most_tokens=12) as (address, _):
        warm = {"temperature": 1.0, "top_p": 0.9, "n": 3}
        one = post(address, says("refund", "tiny", seed=5, **warm))[1]
        two = post(address, says("refund", "tiny", seed=5, **warm))[1]
        other = post(address, says("refund", "tiny", seed=6, **warm))[1]
        texts = [[c["message"]["content"] for c in r["choices"]] for r in (one, two, other)]
        assert texts[0] == texts[1]
        assert texts[0] != texts[2]
        assert len(set(texts[0])) > 1
        prompt = (Message(role="user", content="refund"),)
        limits = Limits(max_tokens=12, temperature=1.0, top_p=0.9, seed=5)
        same = [engine.reply([prompt], limits.model_copy(update={"sample": k}))[0].text
                for k in range(3)]  # fmt: skip
        assert texts[0] == same
        assert one["usage"]["completion_tokens"] > 12
        greedy = post(address, says("refund", "tiny", n=2))[1]["choices"]
        assert greedy[0]["message"] == greedy[1]["message"]
        assert [choice["index"] for choice in greedy] == [0, 1]


def test_log_probabilities_are_those_of_the_tokens(engine):
    with served({"tiny": engine}, most_tokens=8) as (address, _):
        reply = post(address, says("refund", "tiny", logprobs=True, top_logprobs=2))[1]
        content = reply["choices"][0]["logprobs"]["content"]
        assert "".join(one["token"] for one in content).startswith(
            reply["choices"][0]["message"]["content"][:3]
        )
        assert all(len(one["top_logprobs"]) == 2 for one in content)
        assert all(one["logprob"] == one["top_logprobs"][0]["logprob"] <= 0 for one in content)
        chosen = {"logprobs": True, "response_format": None}
        assert post(address, says("refund", "tiny", **chosen))[0] == 200


def test_what_cannot_be_asked_is_the_clients_fault_and_hurts_nobody(engine):
    with served({"tiny": engine}, most_tokens=8) as (address, _):
        long = {"role": "user", "content": "refund " * 900}
        status, body, _ = post(address, {"model": "tiny", "messages": [long]})
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        alone = {"model": "tiny", "messages": [{"role": "system", "content": "a"}]}
        assert post(address, alone)[0] == 200
        assert post(address, says("", "tiny"))[0] == 200
        torn = b'{"model": "tiny", "messages": [{"role": "user", "content": "a \\ud800 b"}]}'
        assert post(address, torn)[0] == 200, "half a surrogate pair is replaced"
        assert post(address, says("a", "tiny", max_tokens=100_000))[0] == 200


def test_a80_a_client_that_leaves_mid_stream_frees_its_row(engine):
    with served({"tiny": engine}, most_tokens=400) as (address, service):
        worker = service.models.workers[0]
        gone = [raw(address, says(text, "tiny", stream=True)) for text in TEXTS[:8]]
        for opened in gone:
            assert opened.recv(64).startswith(b"HTTP/1.1 200")
        for opened in gone:
            opened.close()
        assert waits(lambda: worker.in_flight == 0)
        assert left(service) > 0, "they left before the end"
        assert post(address, says("a", "tiny", max_tokens=3))[0] == 200


def test_labels_that_are_scored_are_answered_together(engine, tmp_path):
    held = Grammar(kind="labels", value=["refund", "delivery", "warranty"])
    limits = Limits(max_tokens=8, grammar=held)
    made = artefact(model="hf:tiny", pack=Pack(limits=limits, grammar=held))
    system = Prompted(made, engine, limits)
    truth = [answer.text for answer in system.answer(queries())]
    with served({"hf:tiny": engine}, [system], tmp_path) as (address, _):
        assert asked(address, [("tickets", text) for text in TEXTS]) == truth
        refused = post(address, says("a", "tickets", logprobs=True))[1]["error"]
        assert refused["param"] == "logprobs"


def test_the_system_turn_of_a_row_stays_with_it(engine, tmp_path):
    system = Prompted(artefact(model="hf:tiny"), engine)
    turns = (Message(role="system", content="Own."), Message(role="user", content="refund"))
    truth = system.answer([Query(id="a", messages=turns)])[0].text
    with served({"hf:tiny": engine}, [system], tmp_path) as (address, _):
        body = {"model": "tickets", "messages": [m.plain() for m in turns]}
        assert text_of(post(address, body)) == truth


def test_p17_turns_that_no_row_had_are_refused(engine, tmp_path):
    turns = [{"role": "system", "content": "Own."}, *says("refund", "tickets")["messages"]]
    earlier = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for roles, body, status in (
        ((), turns, 400), ((), turns[1:], 200), (("system",), turns, 200),
        (("system",), [*earlier, *turns[1:]], 400), (None, turns, 200),
    ):  # fmt: skip
        system = Prompted(artefact(model="hf:tiny", roles=roles), engine)
        with served({"hf:tiny": engine}, [system], tmp_path) as (address, _):
            found, told, _ = post(address, {"model": "tickets", "messages": body})
            assert found == status
            assert (
                status == 200 or "without a turn before the input by: " in told["error"]["message"]
            )
