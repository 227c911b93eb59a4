"""A DSPy program: a module with the instruction, and its saved state with the demonstrations."""

from __future__ import annotations

import json
from pathlib import Path

from tuneworthy.arms.prompt.messages import INPUT_PLACEHOLDER
from tuneworthy.handover.formats._sources import BuiltPrompt, Made
from tuneworthy.records.errors import TaskError

NEEDS = "prompt"
_PROGRAM = '''"""The prompt that tuneworthy built: python program.py "text" [MODEL [URL]]."""

import os
import sys
from pathlib import Path

import dspy

MODEL, URL, KEY = {model!r}, {url!r}, {key!r}
REQUEST = {request!r}


class Answer(dspy.Signature):
    input: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Program(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict(Answer)

    def forward(self, input):
        return self.answer(input=input)


def load():
    """Return the program with its instruction and demonstrations."""
    program = Program()
    program.load(Path(__file__).with_name("program.json"))
    return program


def model(name=MODEL, url=URL):
    """Return the model that was measured, or another one."""
    key = os.environ.get(KEY, "").strip() or "none"
    return dspy.LM(f"openai/{{name}}", api_base=url, api_key=key, **REQUEST)


if __name__ == "__main__":
    with dspy.context(lm=model(*sys.argv[2:])):
        print(load()(input=sys.argv[1]).answer)
'''
_OWN_PROMPT = (
    "DSPy writes its own prompt from instruction and demonstrations, and asks for its own form of"
    " answer: the measured score is not this program's"
)
_SENT = ("max_tokens", "temperature", "top_p", "seed", "stop")


def write(source: BuiltPrompt, folder: Path) -> Made:
    """Return program.py and program.json, the state that `Module.load` opens."""
    *first, last = source.pack["messages"]
    instruction = [one["content"] for one in first if one["role"] == "system"]
    if last["content"] != INPUT_PLACEHOLDER:
        instruction.append(f"The input is meant in this text:\n{last['content']}")
    turns = [one for one in first if one["role"] != "system"]
    if [one["role"] for one in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise TaskError("an example of the prompt is a longer conversation: DSPy takes one input"
                        " and one answer", where=source.artefact.arm,
                        fix="export it as promptfoo or inspect")  # fmt: skip
    demos = [{"input": asked["content"], "answer": said["content"]}
             for asked, said in zip(turns[::2], turns[1::2], strict=True)]  # fmt: skip
    fields = [{"prefix": f"{name.title()}:", "description": f"${{{name}}}"}
              for name in ("input", "answer")]  # fmt: skip
    signature = {"instructions": "\n\n".join(instruction), "fields": fields}
    state = {"answer": {"traces": [], "train": [], "demos": demos, "signature": signature,
                        "lm": None}, "metadata": {"dependency_versions": {}}}  # fmt: skip
    pack = source.pack
    request = {key: value for key, value in pack["request"].items() if key in _SENT}
    program = _PROGRAM.format(model=pack["model"], url=pack["url"], key=pack["key"],
                              request=request)  # fmt: skip
    told = source.summary(demos=len(demos), notes=[_OWN_PROMPT])
    return Made({"program.py": program, "program.json": json.dumps(state, indent=2) + "\n"}, told)
