"""Write the exports of evaluation tools: `python tests/samples/make_exports.py TOOL FOLDER`.

TOOL is langsmith, mlflow, pydantic_evals, weave, opik, braintrust, deepeval or phoenix; it must be
installed (each in an environment of its own). No model is asked, no key is needed, nothing leaves
the machine. Paths and names of the machine were replaced in the samples.

Two tools have no local store. Weave's own Evaluation runs here against a server that keeps nothing;
the references to examples are written out, as its `expand_columns` does. Opik's export is written
by its own command-line code from items of its own classes.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

ROWS = [
    (f"Where are the {thing}?", place)
    for thing, place in (("red lamps", "Shelf 4"), ("blue rugs", "Hall B"), ("tents", "Shelf 9"),
                         ("garden chairs", "Yard"), ("mirrors", "Hall A"), ("screws", "Shelf 2"))
]  # fmt: skip
WRONG = {
    "today": {"Where are the tents?", "Where are the mirrors?", "Where are the screws?"},
    "tuned": {"Where are the screws?"},
}
MORNING = datetime(2026, 12, 1, 9, tzinfo=UTC)


def answer(system, question):
    return "Hall C" if question in WRONG[system] else dict(ROWS)[question]


def answering(system):
    """Return a function of one argument, `question`, that answers as the system does."""

    def predict(question):
        return answer(system, question)

    return predict


def name_of(*parts):
    return str(uuid.uuid5(uuid.UUID(int=9), "/".join(parts)))


def write_lines(path, texts):
    path.write_text("".join(f"{text}\n" for text in texts))


def langsmith(folder):
    """Results as a table (JSON Lines, CSV), the runs, the examples; needs pandas."""
    from langsmith import schemas
    from langsmith.evaluation import evaluate

    os.environ.update(LANGSMITH_TRACING="false", LANGSMITH_API_KEY="none")
    examples = [
        schemas.Example(id=uuid.UUID(name_of(question)), dataset_id=uuid.UUID(int=7),
                        inputs={"question": question}, outputs={"answer": place},
                        created_at=MORNING)
        for question, place in ROWS
    ]  # fmt: skip

    def right(run, example):
        return {"key": "right", "score": run.outputs["output"] == example.outputs["answer"]}

    for system in WRONG:
        found = evaluate(lambda inputs, system=system: {"output": answer(system, **inputs)},
                         data=examples, evaluators=[right], upload_results=False,
                         experiment_prefix=system)  # fmt: skip
        table = found.to_pandas().astype({"id": str, "example_id": str})
        table.to_json(folder / f"langsmith_{system}.jsonl", orient="records", lines=True)
        table.to_csv(folder / f"langsmith_{system}.csv", index=False)
        runs = [row["run"].model_dump_json() for row in found]
        write_lines(folder / f"langsmith_runs_{system}.jsonl", runs)
    write_lines(folder / "langsmith_examples.jsonl", [one.model_dump_json() for one in examples])


def mlflow(folder):
    """The table of an evaluation, and its traces, from a local store."""
    import mlflow
    from mlflow.genai import scorer

    @scorer
    def right(outputs, expectations):
        return outputs == expectations["expected_response"]

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("where")
    data = [{"inputs": {"question": question}, "expectations": {"expected_response": place}}
            for question, place in ROWS]  # fmt: skip
    for system in WRONG:
        found = mlflow.genai.evaluate(data=data, scorers=[right], predict_fn=answering(system))
        table = found.result_df
        table.to_json(folder / f"mlflow_eval_{system}.jsonl", orient="records", lines=True)
        table.to_csv(folder / f"mlflow_eval_{system}.csv", index=False)
        traces = mlflow.search_traces(run_id=found.run_id, return_type="list")
        write_lines(folder / f"mlflow_traces_{system}.jsonl", [one.to_json() for one in traces])


def pydantic_evals(folder):
    """Reports, one of them with repetitions and failures, and the cases as YAML."""
    from pydantic_evals import Case, Dataset
    from pydantic_evals.evaluators import EqualsExpected
    from pydantic_evals.reporting import EvaluationReportAdapter

    cases = [Case(name=f"case-{at}", inputs=question, expected_output=place,
                  metadata={"hall": place[0]}) for at, (question, place) in enumerate(ROWS)
             ]  # fmt: skip
    data = Dataset(name="where", cases=cases, evaluators=[EqualsExpected()])
    for system in WRONG:

        async def task(question: str, system=system) -> str:
            return answer(system, question)

        task.__name__ = system
        report = data.evaluate_sync(task, progress=False)
        file = folder / f"pydantic_evals_{system}.json"
        file.write_bytes(EvaluationReportAdapter.dump_json(report, indent=1))

    async def fails_at_times(question: str) -> str:
        if "tents" in question:
            raise TimeoutError("no answer in 30 s")
        return answer("today", question)

    report = data.evaluate_sync(fails_at_times, progress=False, repeat=2)
    text = json.loads(EvaluationReportAdapter.dump_json(report))
    for failure in text["failures"]:
        failure["error_stacktrace"] = ""  # names the folders of a machine
    (folder / "pydantic_evals_failures.json").write_text(json.dumps(text, indent=1))
    data.to_file(folder / "pydantic_evals_cases.yaml")


class KeepsNothing:
    """A server for Weave's client: answers each request with digests."""

    remote_request_bytes_limit = 10**9
    call_processor = feedback_processor = None

    def __getattr__(self, name):
        def answered(*request, **named):
            digest = digest_of((name, request, named))
            return SimpleNamespace(digest=digest, id=digest, trace_id=digest, project_name="where",
                                   row_digests=[digest_of(at) for at in range(len(ROWS))],
                                   calls=[], objs=[], rows=[], refs=[], vals=[])  # fmt: skip

        return answered


def digest_of(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:43]


def weave(folder):
    """The calls that predict and score one example each."""
    import weave
    from weave.trace import weave_client
    from weave.trace.context import weave_client_context

    client = weave_client.WeaveClient("us", "where", KeepsNothing(), ensure_project_exists=False)
    weave_client_context.set_weave_client_global(client)
    calls, finish = [], client.finish_call

    def finished(call, *parts, **named):
        calls.append(call)
        return finish(call, *parts, **named)

    client.finish_call = finished
    rows = [{"id": f"q{at}", "question": question, "answer": place}
            for at, (question, place) in enumerate(ROWS)]  # fmt: skip
    by_digest = {digest_of(at): row for at, row in enumerate(rows)}

    @weave.op
    def right(answer: str, output: str) -> bool:
        return answer == output

    def plain(value):
        uri = getattr(value, "uri", None)
        return value.isoformat() if hasattr(value, "isoformat") else uri() if uri else str(value)

    for system in WRONG:
        calls.clear()

        @weave.op
        def model(question: str, system=system) -> str:
            return answer(system, question)

        model.name = system
        asyncio.run(weave.Evaluation(dataset=rows, scorers=[right]).evaluate(model))
        found = [one.to_dict() for one in calls if "predict_and_score" in one.op_name]
        for one in found:
            example = by_digest[plain(one["inputs"]["example"]).rsplit("/", 1)[-1]]
            one["inputs"] = {**one["inputs"], "example": example}
            about = one["attributes"]["weave"]
            one["attributes"] = {"weave": {key: about[key] for key in ("client_version", "source")}}
        texts = [json.dumps(one, default=plain) for one in found]
        write_lines(folder / f"weave_{system}.jsonl", texts)


def opik(folder):
    """Experiments and a trace, as `opik export` writes them."""
    from opik.api_objects.experiment.experiment_item import ExperimentItemContent
    from opik.cli.exports import utils
    from opik.rest_api.types.experiment_public import ExperimentPublic
    from opik.rest_api.types.span_public import SpanPublic
    from opik.rest_api.types.trace_public import TracePublic

    for system in WRONG:
        about = ExperimentPublic(id=name_of(system), name=system, dataset_name="where",
                                 created_at=MORNING, trace_count=len(ROWS))  # fmt: skip
        experiment = SimpleNamespace(id=name_of(system), name=system, dataset_name="where",
                                     get_experiment_data=lambda about=about: about)  # fmt: skip
        items = []
        for question, place in ROWS:
            said = answer(system, question)
            score = {"name": "right", "value": float(said == place), "source": "sdk"}
            item = {"id": name_of(system, question), "experiment_id": name_of(system),
                    "dataset_item_id": name_of(question), "input": {"question": question},
                    "trace_id": name_of(system, question, "trace"), "output": {"output": said},
                    "feedback_scores": [score], "duration": 812.5}  # fmt: skip
            row = {"question": question, "expected_output": place}
            items.append(ExperimentItemContent.from_compare_dict(item, dataset_item_data=row))
        whole = utils.create_experiment_data_structure(experiment, items)
        utils.write_json_data(whole, folder / f"opik_experiment_{system}.json")
    question = ROWS[4][0]
    end, output = MORNING + timedelta(seconds=0.8), {"output": answer("today", question)}
    trace = TracePublic(id=name_of("trace"), project_id=name_of("project"), name="evaluation_task",
                        start_time=MORNING, end_time=end, input={"question": question},
                        output=output, duration=800.0, created_at=MORNING)  # fmt: skip
    turns = {"messages": [{"role": "user", "content": question}]}
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    span = SpanPublic(id=name_of("span"), trace_id=trace.id, project_id=trace.project_id,
                      name="llm", type="llm", start_time=MORNING, end_time=end, input=turns,
                      output=output, model="m-1", usage=usage)  # fmt: skip
    whole = {"trace": trace.model_dump(), "spans": [span.model_dump()]}
    utils.write_json_data(whole, folder / "opik_trace.json")


def braintrust(folder):
    """The results of `Eval` without sending logs."""
    from braintrust import Eval

    def right(input, output, expected):
        return {"name": "right", "score": float(output == expected)}

    def data():
        return [{"input": question, "expected": place, "metadata": {"n": at}}
                for at, (question, place) in enumerate(ROWS)]  # fmt: skip

    for system in WRONG:
        found = Eval("where", data=data, scores=[right], no_send_logs=True, task=answering(system))
        write_lines(folder / f"braintrust_{system}.jsonl", [one.as_json() for one in found.results])


def deepeval(folder):
    """Test runs of a results folder, and goldens."""
    os.environ["DEEPEVAL_TELEMETRY_OPT_OUT"] = "YES"
    from deepeval import evaluate
    from deepeval.dataset import EvaluationDataset, Golden
    from deepeval.evaluate.configs import AsyncConfig, DisplayConfig
    from deepeval.metrics import BaseMetric
    from deepeval.test_case import LLMTestCase

    class Right(BaseMetric):
        threshold, async_mode = 0.5, False

        def measure(self, test_case, *parts, **named):
            self.score = float(test_case.actual_output == test_case.expected_output)
            self.success = self.score > 0.5
            return self.score

        async def a_measure(self, test_case, *parts, **named):
            return self.measure(test_case)

        def is_successful(self):
            return self.success

        @property
        def __name__(self):
            return "Right"

    for system in WRONG:
        cases = [LLMTestCase(name=f"case-{at}", input=question, expected_output=place,
                             actual_output=answer(system, question))
                 for at, (question, place) in enumerate(ROWS)]  # fmt: skip
        place = folder / f"deepeval_{system}"
        evaluate(cases, [Right()], async_config=AsyncConfig(run_async=False),
                 display_config=DisplayConfig(results_folder=str(place), print_results=False,
                                              show_indicator=False))  # fmt: skip
        next(place.glob("test_run*.json")).rename(folder / f"deepeval_{system}.json")
    goldens = [Golden(input=question, expected_output=place) for question, place in ROWS]
    EvaluationDataset(goldens=goldens).save_as("json", str(folder), file_name="deepeval_goldens")


def traced(place):
    """Send a chain with a request to a model for each question, as instrumented code does."""
    from phoenix.otel import register

    provider = register(project_name="shop", endpoint=f"{place}/v1/traces", batch=False,
                        protocol="http/protobuf", set_global_tracer_provider=False)  # fmt: skip
    tracer = provider.get_tracer("shop")
    for question, _ in ROWS:
        said = answer("today", question)
        with tracer.start_as_current_span("ask", openinference_span_kind="chain") as chain:
            chain.set_input(question)
            with tracer.start_as_current_span("model", openinference_span_kind="llm") as span:
                span.set_input(question)
                span.set_output(said)
                about = {
                    "model_name": "m-1", "token_count.prompt": 12, "token_count.completion": 3,
                    "input_messages.0.message.role": "system",
                    "input_messages.0.message.content": "Answer with the place.",
                    "input_messages.1.message.role": "user",
                    "input_messages.1.message.content": question,
                    "output_messages.0.message.role": "assistant",
                    "output_messages.0.message.content": said,
                }  # fmt: skip
                span.set_attributes({f"llm.{name}": value for name, value in about.items()})
            chain.set_output(said)
    provider.force_flush()
    time.sleep(5)


def phoenix(folder):
    """Experiments, a data set and spans of a server that is started for it."""
    import httpx
    from phoenix.client import Client

    place = "http://127.0.0.1:16006"
    server = subprocess.Popen(
        [sys.executable, "-m", "phoenix.server.main", "serve"],
        env={**os.environ, "PHOENIX_WORKING_DIR": str(folder / "phoenix"), "PHOENIX_PORT": "16006",
             "PHOENIX_GRPC_PORT": "14317", "PHOENIX_HOST": "127.0.0.1",
             "PHOENIX_TELEMETRY_ENABLED": "false"},
    )  # fmt: skip

    def is_up():
        try:
            return httpx.get(f"{place}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        while not is_up():
            time.sleep(1)
        client = Client(base_url=place)
        data = client.datasets.create_dataset(
            name="where", inputs=[{"question": question} for question, _ in ROWS],
            outputs=[{"answer": where} for _, where in ROWS],
        )  # fmt: skip
        found = {f"dataset.{form}": f"datasets/{data.id}/{form}" for form in ("csv", "jsonl")}
        for system in WRONG:
            run = client.experiments.run_experiment(
                dataset=data, experiment_name=system, print_summary=False,
                task=lambda example, system=system: answer(system, example["input"]["question"]),
                evaluators=[lambda output, expected: output == expected["answer"]],
            )  # fmt: skip
            for form in ("json", "csv"):
                name = f"experiment_{system}.{form}"
                found[name] = f"experiments/{run['experiment_id']}/{form}"
        traced(place)
        listed = httpx.get(f"{place}/v1/projects").json()["data"]
        project = next(one["id"] for one in listed if one["name"] == "shop")
        found["spans.json"] = f"projects/{project}/spans?limit=50"
        table = client.spans.get_spans_dataframe(project_identifier="shop")
        table.to_json(folder / "phoenix_spans.jsonl", orient="records", lines=True,
                      date_format="iso")  # fmt: skip
        for name, path in found.items():
            (folder / f"phoenix_{name}").write_bytes(httpx.get(f"{place}/v1/{path}").content)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    tools = (langsmith, mlflow, pydantic_evals, weave, opik, braintrust, deepeval, phoenix)
    made = {one.__name__: one for one in tools}
    target = Path(sys.argv[2]).absolute()
    target.mkdir(parents=True, exist_ok=True)
    made[sys.argv[1]](target)
