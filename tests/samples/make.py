"""Write the samples that the tools themselves make: `python tests/samples/make.py FOLDER`.

Needs inspect_ai, dspy, langfuse, and `promptfoo` (npm) on the path; no model is asked, no rows of
others are used. The other samples are written in the contract test, by the published schemas.
"""

import json
import subprocess
import sys
from pathlib import Path

ROWS = [
    ("Where are the red lamps?", ["Shelf 4", "shelf four"]),
    ("Where are the blue rugs?", ["Hall B"]),
    ("Where are the tents?", ["Shelf 9"]),
]
CONFIG = """\
prompts: ["{{question}}"]
providers:
  - {id: echo, label: today}
tests:
  - vars: {question: "Where are the red lamps?"}
    assert: [{type: icontains, value: red lamps}]
  - vars: {question: "Where are the blue rugs?"}
    assert: [{type: equals, value: Hall B}]
  - vars: {question: "Where are the tents?"}
    assert: [{type: icontains-any, value: [shelf 9, shelf nine]}]
  - vars: {question: "Write a poem on lamps"}
    assert: [{type: javascript, value: output.length > 3}]
"""


def inspect_logs(folder):
    """Write a log of open questions (.eval, two epochs) and one of a multiple choice (.json)."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import choice, includes
    from inspect_ai.solver import generate, multiple_choice, system_message

    def said(text):
        found = ModelOutput.from_content("mockllm/model", text)
        found.usage = ModelUsage(input_tokens=21, output_tokens=6, total_tokens=27)
        return found

    samples = [Sample(input=text, target=target, id=f"s{n}") for n, (text, target) in
               enumerate(ROWS)]  # fmt: skip
    steps = [system_message("Answer with the place."), generate()]
    asked = Task(name="where", dataset=MemoryDataset(samples), solver=steps, scorer=includes(),
                 epochs=2)  # fmt: skip
    one = Sample(input="Which is a lamp?", target="B", choices=["a rug", "a torch"], id=1)
    picked = Task(name="pick", dataset=MemoryDataset([one]), solver=multiple_choice(),
                  scorer=choice())  # fmt: skip
    for task, form, text in (
        (asked, "eval", "They are on Shelf 4."),
        (picked, "json", "ANSWER: B"),
    ):
        model = get_model("mockllm/model", custom_outputs=[said(text)] * 9)
        found = eval(task, model=model, log_dir=str(folder), log_format=form, display="none")
        Path(found[0].location).rename(folder / f"inspect_{task.name}.{form}")


def dspy_program(folder):
    """Write a saved program with demos."""
    import dspy

    class Place(dspy.Signature):
        """Say where it is kept."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    program = dspy.ChainOfThought(Place)
    program.predict.demos = [
        dspy.Example(augmented=True, question=text, reasoning="look it up", answer=target[0])
        for text, target in ROWS
    ]
    program.save(str(folder / "dspy_program.json"))


def promptfoo(folder):
    """Write a test file and the results of a run with the provider that echoes."""
    tests, results = folder / "promptfoo_tests.yaml", folder / "promptfoo_results.json"
    tests.write_text(CONFIG)
    # It exits 100 where a test fails, and here some do.
    command = ["promptfoo", "eval", "-c", tests.name, "-o", results.name, "--no-cache"]
    subprocess.run(command, cwd=folder)
    found = json.loads(results.read_text())
    results.write_text(json.dumps(found, indent=1))


def langfuse(folder):
    """Write items of a data set, and generations, as the tool's own records."""
    from datetime import UTC, datetime

    from langfuse.api import DatasetItem

    at = datetime(2026, 1, 31, tzinfo=UTC)
    known = {"status": "ACTIVE", "metadata": {}, "source_trace_id": None, "dataset_id": "d",
             "source_observation_id": None, "dataset_name": "where", "created_at": at,
             "updated_at": at, "media_references": []}  # fmt: skip
    items = [DatasetItem(id=f"i{n}", input={"question": text}, expected_output=target[0], **known)
             for n, (text, target) in enumerate(ROWS)]  # fmt: skip
    lines = [item.model_dump_json(by_alias=True) for item in items]
    (folder / "langfuse_items.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    inspect_logs(target)
    dspy_program(target)
    promptfoo(target)
    langfuse(target)
