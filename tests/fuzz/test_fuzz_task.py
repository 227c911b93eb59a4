"""Task files: keys with wrong values, wrong keys, broken YAML, paths that lead elsewhere."""

import json

import pytest
from fuzz_kit import drawn, holds, indices, real, texts, values
from hypothesis import strategies as st

pytestmark = pytest.mark.full
COUNT = 150
PATHS = ("data.file", "data.train", "data.test", "data.dev", "data.dev_share", "data.locked",
         "data.folds", "data.unlabelled", "data.docs", "data.largest_group",
         "data.corrected", "data.copies", "output.type",
         "output.schema", "output.labels", "output.max_tokens", "success.metric", "success.options",
         "success.target", "success.margin", "success.floor", "success.pass_at", "success.motive",
         "success.limits.valid", "success.limits.p95_ms", "success.limits.general_drop",
         "success.limits.local_only", "success.judge", "success.finalists", "present.model",
         "present.prompt", "present.answers", "present.options", "present.tool", "answers", "model",
         "tune", "bigger", "teacher", "thinking", "thinking_tokens", "options", "max_connections",
         "device", "precision", "batch", "arms", "knowledge.changed_share", "knowledge.over",
         "economics.requests_per_month", "economics.value_of_correct", "economics.horizon_months",
         "economics.prices", "economics.label_each", "budget.minutes", "budget.usd",
         "budget.tokens", "seeds", "seed", "executor", "name", "instruction",
         "inferred", "data", "success", "nonsense")  # fmt: skip
LIKELY = [
    "rows.jsonl",
    "logged.jsonl",
    "../rows.jsonl",
    ".",
    "/",
    "/dev/null",
    "/dev/zero",
    "none.jsonl",
    "~",
    "rows.jsonl/x",
    "task.yaml",
    "",
    "auto",
    "label",
    "json",
    "number",
    "exact",
    "accuracy",
    "fields_f1",
    "./score.py:score",
    "os:system",
    "judge",
    "exact+number",
    "30d",
    "9e9d",
    "scripted:echo",
    "scripted:noisy",
    "scripted:./none.jsonl",
    "hf:./none",
    "openai:m@http://127.0.0.1:9/v1",
    "openai:m@http://169.254.169.254/",
    "openai:",
    "hf:",
    ["majority"],
    ["majority", "tfidf"],
    ["majority", {"vote": {"k": 3}}],
    [{}],
    [{"lora": 1}],
    {"lora": "rows.jsonl"},
    {"other": {"file": "logged.jsonl", "tool": "tune"}},
    {"model": "scripted:echo", "grades": "none.csv"},
    {"m": {"in": -1}},
    "x" * 300,
    1e-12,
    1e-13,
    0.999999999,
    1e15,
    10**15,
    2**32 - 1,
    [["a"]],
    {"tune": "nobody"},
]
SOUND = {
    "data.dev_share": [0.01, 0.99, 0.5],
    "data.locked": [0.0, 0.2, 0.49],
    "data.folds": [2, 5, 20],
    "data.largest_group": [1, 10**6],
    "data.copies": ["off", "exact", "near"],
    "data.unlabelled": ["rows.jsonl", "logged.jsonl"],
    "data.docs": ["rows.jsonl", "logged.jsonl"],
    "data.test": ["rows.jsonl"],
    "output.type": ["json", "label", "text", "number"],
    "output.labels": [["refund"], [], ["a", "a"], ["refund", "delivery", "warranty", "\u202e"]],
    "output.max_tokens": [1, 10**6],
    "output.schema": [{}, {"type": "object"}, "rows.jsonl"],
    "success.metric": [
        "exact",
        "fields_f1",
        "rouge_l",
        "outline",
        "code",
        "must_say",
        "number",
        "style_match",
        "exact+rouge_l",
        "./score.py:score",
        "token_f1+code",
    ],
    "success.options": [{"require": ["For"]}, {"run": True}, {"ignore": ["a"]}, {}],
    "success.target": [0, 1, 0.5],
    "success.margin": [1e-12, 1e-6, 0.05, 0.999999],
    "success.floor": [0, 1],
    "success.pass_at": [0, 1],
    "success.motive": ["quality", "cost"],
    "success.limits.valid": [0, 1],
    "success.limits.p95_ms": [1e-12, 1e15],
    "success.limits.general_drop": [0, 1],
    "success.limits.local_only": [True, False],
    "success.finalists": [{"prompt": "zero_shot"}, {"tune": "lora"}, {"keep": "present"}],
    "success.judge": [{"model": "scripted:echo", "grades": "logged.jsonl"}],
    "present.model": ["scripted:echo", "scripted:noisy"],
    "present.prompt": ["rows.jsonl", "none.txt"],
    "present.options": [{"temperature": 1.0}, {"max_tokens": -1}, {"x": 1}],
    "present.tool": ["prompt", "tune", "keep"],
    "bigger": ["scripted:noisy"],
    "teacher": ["scripted:echo"],
    "tune": ["scripted:echo"],
    "thinking": ["on", "off", "auto"],
    "model": ["scripted:noisy", "scripted:empty", "scripted:./logged.jsonl"],
    "options": [{"model": {"top_p": 2}}, {"judge": {}}],
    "max_connections": [1, 1000],
    "arms": [
        "auto",
        ["majority", "tfidf"],
        ["copy_input", "zero_shot", "few_shot", "nearest_shots"],
        ["majority", {"vote": {"k": 3}}],
        ["oracle", "zero_shot", "constrained"],
        ["majority", {"few_shot": {"k": 10**6}}],
        ["zero_shot", {"zero_shot": {"seed": 1}}],
    ],
    "knowledge.changed_share": [0, 1],
    "knowledge.over": ["30d", "1h", "0.001y"],
    "economics.requests_per_month": [0, 1e15, 1e-12],
    "economics.value_of_correct": [0, 1e15],
    "economics.horizon_months": [1e-12, 1e15],
    "economics.label_each": [0, 1e15],
    "economics.prices": [{}, {"scripted:echo": {"in": 1, "out": 2}}],
    "budget.minutes": [1e-12, 1e15, 0.5],
    "budget.usd": [0, 1e15],
    "budget.tokens": [0, 1, 10**15],
    "seeds": [1, 3],
    "seed": [0, 2**32 - 1],
    "executor": ["local"],
    "name": ["A", "con", "a" * 64],
    "instruction": ["", "\x1b[31m{{ x }}", "a" * 5000, "{0.__class__}"],
}
BROKEN = [
    "[",
    "{",
    ": :",
    "a: *b",
    "a: &b [*b]",
    "!!python/object:os.system {}",
    "<<: {a: 1}",
    "- a",
    "a:\n\t- b",
    "? a\n: b",
    "--- a\n--- b",
    "a: |\n  b",
    "%YAML 9.9",
    "\x00",
    "\ufeff",
    "a: 'b",
    "seed: 0x10",
    "seed: 1_000",
    "a: !!binary x",
    "name: &a b\nmodel: *a",
    "data: {file: rows.jsonl}\ndata: {file: rows.jsonl}",
    "key: sk-abcdefghijklmnop1234",
]


@st.composite
def tasks(draw):
    """Return the text of a task file: a good one with some keys replaced, or broken YAML."""
    keys = {"name": "fuzzed", "data": {"file": "rows.jsonl"}, "model": "scripted:echo",
            "present": {"answers": "logged.jsonl"}, "seeds": 1,
            "arms": ["present", "majority", "zero_shot"]}  # fmt: skip
    sound = draw(st.integers(0, 3)) > 0
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=4, unique=True)):
        likely = st.sampled_from(SOUND[path] if sound and path in SOUND else LIKELY)
        if not sound or path in SOUND:
            _put(keys, path.split("."), draw(likely if sound else st.one_of(likely, values())))
    text = json.dumps(keys, ensure_ascii=draw(st.booleans()))
    how = draw(st.sampled_from(["", "cut", "broken", "words"])) if not sound else ""
    if how == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if how == "broken":
        return draw(st.sampled_from(BROKEN)) + draw(st.sampled_from(["", "\nname: a\n", text]))
    return f"{text}\n{draw(texts())}" if how == "words" else text


def _put(keys, path, value):
    for part in path[:-1]:
        keys = keys.setdefault(part, {})
        if not isinstance(keys, dict):
            return
    keys[path[-1]] = value


@indices(COUNT)
def test_task(index, home):
    text = drawn("task", tasks(), COUNT, index)
    (home / "score.py").write_text(
        "def score(case, answer):\n    return answer == case['output']\n"
    )
    (home / "task.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    word = ("check", "plan", "run")[index % 3]
    more = {"run": ["--no-progress", "--brief"], "plan": ["--brief"], "check": []}[word]
    more += ["--json"] * (index % 5 == 0)
    ended = holds(home, [word, str(home / "task.yaml"), *more], real=real(index))
    if ended.code == 0 and index % 7 == 0:
        holds(home, ["settle", str(home / "task.yaml"), "--show"])
