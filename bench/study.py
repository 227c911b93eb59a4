"""A whole study: `tuneworthy run` against the same arms stitched together from today's tools.

usage: study.py [repetitions] [training rows] [--verdict]   clause types; 240 rows to learn from and
half as many to be scored where nothing else is said; --verdict: only our verdicts by the schedule
beside TRL's fine-tune. A repetition takes minutes a side and sums over
hundreds of answers already, so one is usual. The peer is scikit-learn for the classifier and the
nearest examples; transformers `generate` for answers (sorted by length, 64 rows a batch, left
padding, our precision), held to a tree of labels for the constrained arm; TRL's SFTTrainer for the
adapter. Both sides get the same rows, prompts, caps on tokens, training steps, dev answers and
answers timed one at a time; neither stops early (`budget.stages: false`), and nothing is cached
from before. Told apart: our seconds for placebos, for the same study again with one arm more, where
all other answers are in the store, and for a verdict as `tuneworthy run` reaches it, by the stage
rule and with its placebos, beside TRL's one fine-tune (train + evaluate): with all arms and without
the classifier, which leaves nothing to gain on these rows. Ours starts in a process of its own, so
the peer's imports are timed in one too. What one side need not do (prompts read once for two arms)
is left as it is.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _bench import medians, ratios, repetitions, write
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

import tuneworthy
from tuneworthy.arms.prompt.messages import build
from tuneworthy.flows.study import RunOptions, read
from tuneworthy.models.local.chat_template import prompt_ids, text_ids
from tuneworthy.models.local.machine import precision_for
from tuneworthy.models.local.wheel import locate
from tuneworthy.records.arm import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.results import Results
from tuneworthy.suite import write as write_task

SHOTS, EPOCHS, RANK, ALPHA, RATE = 8, 1, 16, 32, 1e-3
CALL = """
import json, sys, time
begun = time.perf_counter()
sys.path[:0] = [sys.argv[1]]
from tuneworthy.flows.study import RunOptions, run
seen, steps = [], []
def watch(event, data):
    if event == "arm":
        probe = data.spec.role in ("placebo", "ceiling")
        seen.append((time.perf_counter() - begun, probe))
    if event == "say" and str(data).startswith("last step after"):
        steps.append(time.perf_counter() - begun)
study = run(sys.argv[2], RunOptions(brief=True), watch)
end = time.perf_counter() - begun
print(json.dumps([seen, end, end - steps[0] if steps else 0.0, str(study.folder)]))
"""
START = """
import torch
from datasets import Dataset
from peft import LoraConfig
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
"""


def made(folder: Path, rows: int, **budget: Any) -> Path:
    """Write the task with its logged answers and arms; return the task file."""
    path = write_task("clause_type", folder, n=rows * 3 // 2)
    lines = (folder / "test.jsonl").read_text("utf-8").splitlines()
    logged = [{"input": json.loads(line)["input"], "answer": "payment"} for line in lines]
    (folder / "logged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in logged), "utf-8")
    loaded, _ = read(path, RunOptions())
    arms = [
        "present", "tfidf", "zero_shot", {"few_shot": {"k": SHOTS, "draws": 1}},
        {"nearest_shots": {"k": SHOTS}}, "constrained",
        {"lora": {"epochs": EPOCHS, "rank": RANK, "alpha": ALPHA, "rate": RATE, "batch": 4}},
    ]  # fmt: skip
    output = {"type": "label", "labels": list(loaded.task.output.labels or ()), "max_tokens": 8}
    task = {
        "name": "study", "instruction": loaded.task.instruction, "output": output, "arms": arms,
        "data": {"train": "train.jsonl", "test": "test.jsonl"}, "seeds": 1,
        "present": {"answers": "logged.jsonl"}, "budget": {"minutes": 10_000, **budget},
    }  # fmt: skip
    path.write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return path


@dataclass(frozen=True)
class Ours:
    """Our study: its seconds, those of its placebos, those that only explain it, and it."""

    seconds: float
    placebos: float
    explaining: float
    results: Results


def ours(path: Path) -> Ours:
    """Run the study in a process of its own.

    The peer reads nothing across, so placebos are told apart: they are no work that both do.
    """
    source = str(Path(tuneworthy.__file__).parents[1])
    words = [sys.executable, "-c", CALL, source, path.name]
    begun = time.perf_counter()
    done = subprocess.run(words, cwd=path.parent, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - begun
    seen, end, explaining, folder = json.loads(done.stdout.decode().strip().splitlines()[-1])
    ends = [*(start for start, _ in seen[1:]), end]
    probed = sum(end - start for (start, probe), end in zip(seen, ends, strict=True) if probe)
    text = (path.parent / folder / "results.json").read_text("utf-8")
    return Ours(seconds, probed, explaining, Results.model_validate_json(text))


@dataclass
class Peer:
    """The stitched study: its rows and prompts; seconds and share of right answers by arm."""

    task: Any
    train: list[Case]
    dev: list[Case]
    test: list[Case]
    recipes: dict[str, Recipe]
    asks_dev: set[str]
    latency: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)
    right: dict[str, float] = field(default_factory=dict)

    def run(self) -> float:
        """Run all arms; return the seconds, the loading of the model included."""
        begun = time.perf_counter()
        self._timed("tfidf", self._classifier)
        dtype = getattr(torch, precision_for("cpu"))
        self.tokenizer = AutoTokenizer.from_pretrained(locate(), padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(locate(), dtype=dtype).eval()
        for arm in ("zero_shot", "few_shot", "nearest_shots"):
            self._timed(arm, lambda arm=arm: self._prompted(arm))
        self._timed("constrained", lambda: self._asked("constrained", self.model, held=True))
        self._timed("lora", self._lora)
        return time.perf_counter() - begun

    def fine_tune(self) -> float:
        """Train and answer with TRL alone; return the seconds, without imports and loading."""
        self.tokenizer = AutoTokenizer.from_pretrained(locate(), padding_side="left")
        dtype = getattr(torch, precision_for("cpu"))
        self.model = AutoModelForCausalLM.from_pretrained(locate(), dtype=dtype).eval()
        self._timed("lora", self._lora)
        return self.seconds["lora"]

    def _timed(self, arm: str, work: Any) -> None:
        begun = time.perf_counter()
        said = work()
        hits = [a.strip() == case.output for a, case in zip(said, self.test, strict=True)]
        self.seconds[arm], self.right[arm] = time.perf_counter() - begun, sum(hits) / len(hits)
        print(f"  peer {arm}: {self.seconds[arm]:.1f} s", file=sys.stderr, flush=True)

    def _classifier(self) -> list[str]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        model = LogisticRegression(C=10.0, max_iter=2000, random_state=0)
        pipeline = make_pipeline(make_union(words, chars), model)
        pipeline.fit([case.input for case in self.train], [case.output for case in self.train])
        return [str(label) for label in pipeline.predict([case.input for case in self.test])]

    def _prompts(self, arm: str, cases: Sequence[Case]) -> list[list[int]]:
        """Return the ids of the prompts that our arm sends; nearest examples by scikit-learn."""
        recipe = self.recipes[arm]
        near = self._nearest(cases) if recipe.kind == "nearest" else {}
        built = [
            build(self.task, case.query(), near.get(case.id, recipe), self.train) for case in cases
        ]
        return [prompt_ids(self.tokenizer, messages) for messages in built]

    def _nearest(self, cases: Sequence[Case]) -> dict[str, Recipe]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        known = vectors.fit_transform([case.input for case in self.train])
        table = (vectors.transform([case.input for case in cases]) @ known.T).toarray()
        found = {}
        for case, row in zip(cases, table, strict=True):
            best = [at for at in row.argsort()[::-1] if self.train[at].id != case.id][:SHOTS]
            shots = tuple(self.train[at].id for at in reversed(best))
            found[case.id] = Recipe(kind="few", k=SHOTS, shots=shots)
        return found

    def _generate(self, prompts: list[list[int]], model: Any, held: bool = False) -> list[str]:
        pad, end = self.tokenizer.eos_token_id, self.tokenizer.eos_token_id
        order = sorted(range(len(prompts)), key=lambda k: len(prompts[k]))
        said = [""] * len(prompts)
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            width = max(len(prompts[k]) for k in chosen)
            gaps = [width - len(prompts[k]) for k in chosen]
            rows = [[pad] * gap + prompts[k] for k, gap in zip(chosen, gaps, strict=True)]
            mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
            with torch.inference_mode():
                out = model.generate(
                    input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask),
                    max_new_tokens=8, do_sample=False, pad_token_id=pad, eos_token_id=end,
                    prefix_allowed_tokens_fn=self._tree(width) if held else None,
                )  # fmt: skip
            for k, row in zip(chosen, out, strict=True):
                said[k] = self.tokenizer.decode(row[width:], skip_special_tokens=True)
        return said

    def _asked(self, arm: str, model: Any, held: bool = False) -> list[str]:
        """Answer the test rows together, then as many one by one as our side timed."""
        prompts = self._prompts(arm, self.test)
        said = self._generate(prompts, model, held)
        for k in range(self.latency[arm]):
            self._generate([prompts[k]], model, held)
        return said

    def _prompted(self, arm: str) -> list[str]:
        if arm in self.asks_dev:
            self._generate(self._prompts(arm, self.dev), self.model)
        return self._asked(arm, self.model)

    def _tree(self, width: int) -> Any:
        """Return which tokens may follow in a row whose prompt has `width` tokens."""
        end = self.tokenizer.eos_token_id
        after: dict[tuple[int, ...], set[int]] = {}
        for name in self.task.output.labels:
            ids = [*text_ids(self.tokenizer, name), end]
            for at, token in enumerate(ids):
                after.setdefault(tuple(ids[:at]), set()).add(token)
        table = {begun: sorted(tokens) for begun, tokens in after.items()}
        return lambda row, ids: table.get(tuple(ids[width:].tolist()), [end])

    def _lora(self) -> list[str]:
        """Train with TRL; answer dev rows after an epoch where ours does, and the test rows."""
        from transformers import TrainerCallback

        peer = self

        class Dev(TrainerCallback):  # type: ignore[misc]
            def on_epoch_end(self, *_: Any, **more: Any) -> None:
                more["model"].eval()
                peer._generate(peer._prompts("lora", peer.dev), more["model"])
                more["model"].train()

        trainer = self._trainer()
        if "lora" in self.asks_dev:  # of one epoch there is nothing to choose
            trainer.add_callback(Dev())
        trainer.train()
        steps = EPOCHS * math.ceil(len(self.train) / 4)
        assert trainer.state.global_step == steps, (trainer.state.global_step, steps)
        return self._asked("lora", trainer.model.eval())

    def _trainer(self) -> Any:
        from datasets import Dataset
        from peft import LoraConfig
        from trl import SFTConfig, SFTTrainer

        rows = []
        for prompt, case in zip(self._prompts("lora", self.train), self.train, strict=True):
            answer = [*text_ids(self.tokenizer, case.output), self.tokenizer.eos_token_id]
            mask = [0] * len(prompt) + [1] * len(answer)
            rows.append({"input_ids": [*prompt, *answer], "completion_mask": mask})
        config = SFTConfig(
            output_dir=tempfile.mkdtemp(), per_device_train_batch_size=4, num_train_epochs=EPOCHS,
            learning_rate=RATE, report_to="none", use_cpu=True, bf16=False, save_strategy="no",
            gradient_checkpointing=False, completion_only_loss=True, logging_strategy="no",
            disable_tqdm=True, lr_scheduler_type="cosine", warmup_steps=0.1,
        )  # fmt: skip
        return SFTTrainer(
            model=self.model, args=config, train_dataset=Dataset.from_list(rows),
            processing_class=self.tokenizer,
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear",
                                   task_type="CAUSAL_LM"),
        )  # fmt: skip


def peer(path: Path, results: Results) -> Peer:
    """Return the stitched study of the same rows, with the prompts that our run settled on."""
    loaded, parts = read(path, RunOptions())
    by_id = {case.id: case for case in loaded.everyone}
    part = parts.parts[0]
    runs = {run.spec.arm: run for run in results.runs if run.state == "measured"}
    return Peer(
        task=results.task,
        train=[by_id[i] for i in part.train],
        dev=[by_id[i] for i in part.dev],
        test=[by_id[i] for i in part.test],
        recipes={name: run.recipe for name, run in runs.items() if run.recipe is not None},
        asks_dev={name for name, run in runs.items() if run.dev is not None},
        latency={name: len(run.latency_ms or ()) for name, run in runs.items()},
    )


def verdict(
    rows: int, without: Sequence[str] = (), tune: bool = False, **budget: Any
) -> tuple[Ours, str, float]:
    """Return (a study with its placebos, what it says, seconds of TRL).

    TRL trains and answers once on the same rows if `tune`; its seconds are 0 if not.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), rows, **budget)
        task = json.loads(path.read_text("utf-8"))
        task["arms"] = [arm for arm in task["arms"] if arm not in without]
        path.write_text(json.dumps(task), "utf-8")
        own = ours(path)
        said = f"{own.results.verdict.use}: {own.results.verdict.arm}, {own.results.verdict.status}"
        print(f"  {said}: {own.seconds:.1f} s, {own.explaining:.1f} explain it", file=sys.stderr)
        tuned = peer(path, own.results).fine_tune() if tune else 0.0
        return own, said, tuned


def verdicts(n: int, rows: int) -> None:
    """Run verdicts by the schedule and TRL's fine-tune in turn; write their ratios."""
    names = ("all arms", "no classifier", "no classifier, until its last step", "trl fine-tune")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    said: dict[str, set[str]] = {}
    for _ in range(n):
        for name, without in (("all arms", ()), ("no classifier", ("tfidf",))):
            own, told_so, tuned = verdict(rows, without, tune=bool(without))
            seconds[name].append(round(own.seconds, 2))
            said.setdefault(name, set()).add(told_so)
        seconds[names[2]].append(round(own.seconds - own.explaining, 2))
        seconds["trl fine-tune"].append(round(tuned, 2))
    ratio = {name: round(value, 2)
             for name, value in ratios(medians(seconds), "trl fine-tune").items()}  # fmt: skip
    print(f"study: whole verdict over one TRL fine-tune (goal 1): {ratio} (n = {n})")
    write("study_verdict", {
        "n": n, "rows": rows, "seconds": seconds, "ratio": ratio,
        "said": {name: sorted(texts) for name, texts in said.items()},
    })  # fmt: skip


def main() -> None:
    """Run both sides, print the ratio and write bench/results/study.json."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    alone = "--verdict" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--verdict"]
    n = repetitions(1)
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 240
    if alone:
        verdicts(n, rows)
        return
    seconds: dict[str, list[float]] = {"ours": [], "stitched": []}
    again: list[float] = []
    placebos: list[float] = []
    starts: list[float] = []
    trl: list[float] = []
    whole: dict[str, list[float]] = {"all arms": [], "no classifier": []}
    said: dict[str, set[str]] = {name: set() for name in whole}
    for _ in range(n):
        with tempfile.TemporaryDirectory() as folder:
            path = made(Path(folder), rows, stages=False)
            own = ours(path)
            took, probed, results = own.seconds, own.placebos, own.results
            other = peer(path, results)
            seconds["ours"].append(round(took - probed, 2))
            placebos.append(round(probed, 2))
            print(f"  ours: {took:.1f} s, {probed:.1f} of placebos", file=sys.stderr, flush=True)
            task = json.loads(path.read_text("utf-8"))
            task["arms"].append({"few_shot": {"k": SHOTS // 2, "draws": 1}})
            path.write_text(json.dumps(task), "utf-8")
            own = ours(path)
            again.append(round(own.seconds - own.placebos, 2))
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", START], check=True)
            starts.append(round(time.perf_counter() - begun, 2))
            seconds["stitched"].append(round(other.run() + starts[-1], 2))
            trl.append(round(other.seconds["lora"], 2))
        for name, without in (("all arms", ()), ("no classifier", ("tfidf",))):
            own, told_so, _ = verdict(rows, without)
            whole[name].append(round(own.seconds, 2))
            said[name].add(told_so)
    median = medians(seconds)
    ratio = ratios(median, "ours")["stitched"]
    cached = round(median["stitched"] / statistics.median(again), 1)
    scores = {a.name: a.score.mean if a.score else None for a in results.evidence.arms}
    fixed = {name: verdict(rows, out, stages=False)[1]
             for name, out in (("all arms", ()), ("no classifier", ("tfidf",)))}  # fmt: skip
    per_tune = {name: round(statistics.median(took) / statistics.median(trl), 2)
                for name, took in whole.items()}  # fmt: skip
    what = f"a study of {rows} + {rows // 2} rows, times stitched tools, equal work"
    told = {
        "n": n, "rows": rows, "seconds": seconds, "median": median, "ratio": ratio,
        "stitched_by_arm": {k: round(v, 2) for k, v in other.seconds.items()},
        "scores": {"ours": scores, "stitched": other.right}, "again": again, "placebos": placebos,
        "start_of_stitched": starts, "trl_fine_tune": trl, "verdict": whole,
        "said": {name: sorted(texts) for name, texts in said.items()}, "said_by_all_arms": fixed,
        "summary": {f"{what} (goal 3.5)": ratio,
                    "again with one arm more, times the whole of stitched tools (goal 5)": cached,
                    **{f"whole verdict over one TRL fine-tune, {name} (goal 1)": ratio_of
                       for name, ratio_of in per_tune.items()}},
    }  # fmt: skip
    print(f"study: {what}: {ratio} (n = {n})")
    write("study", told)


if __name__ == "__main__":
    main()
