"""`Session`: a study's open task, rows, ledger, models, plan and results. Decides nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tuneworthy.arms.retrieval.gold import with_inferred_passages
from tuneworthy.explain.metric_ladder import blocking_reasons
from tuneworthy.explain.two_studies import METRIC_SOURCE_KEY
from tuneworthy.flows.identity import (
    competing_arms,
    fetches,
    more_minutes,
    needs_met,
    others_of_name,
    results_key,
    study_and_salt,
    study_identity,
)
from tuneworthy.flows.look_count import bounds_pay_for, spent_before
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.measure import planning, timing
from tuneworthy.measure.answering import THIS_PROCESS, Executor, Runner
from tuneworthy.measure.calibration import grades_of, judge_refusal, metric_digest, metric_of
from tuneworthy.measure.executors import executor_of
from tuneworthy.measure.further.runner import plan_extras
from tuneworthy.measure.price_notes import refuse_uncapped
from tuneworthy.measure.request_costs import remote_models
from tuneworthy.metrics import own_source
from tuneworthy.models import first_use, is_local, is_paid, notices, open_model
from tuneworthy.models._roles import (
    Models,
    check_device,
    placement,
    request_fields,
    tokens,
    untrainable,
    unusable,
    wanted_models,
)
from tuneworthy.models.encoder.encoder import Fetched
from tuneworthy.models.local.machine import installed
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.records import __version__
from tuneworthy.records.answer import Answer
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.case import Case, Query, right_answers
from tuneworthy.records.counting import count_noun
from tuneworthy.records.model import Model, final_replies
from tuneworthy.records.plan import Plan
from tuneworthy.records.results import Results
from tuneworthy.records.run import RunOptions
from tuneworthy.records.specs import (
    Available,
    highest_rank,
    needs_of_arm,
    reads_unlabelled,
    specs,
    unmet_needs,
)
from tuneworthy.records.task import Task
from tuneworthy.report.results_folder import StoredResults, write_results
from tuneworthy.rows.answers import AlignedAnswers
from tuneworthy.rows.audit import audit, with_observations
from tuneworthy.rows.fingerprint import file_digests, rows_digest, write_digests
from tuneworthy.rows.folds import Split, split
from tuneworthy.rows.infer import answer_limit
from tuneworthy.rows.leaks import learnable_inputs
from tuneworthy.rows.load import Loaded, load
from tuneworthy.rows.locked import input_digests
from tuneworthy.rows.recorded import answer_observations, recorded_answers
from tuneworthy.rows.sealed import Sealed, scored_cases
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store import signals
from tuneworthy.store.elsewhere import LookCount, next_look, record_look
from tuneworthy.store.mirror import reply_seconds
from tuneworthy.store.purse import SpendingCap, unknown_costs
from tuneworthy.store.store import Ledger, open_ledger

Tell = Callable[[str, Any], None]
UNLOCKED_SUFFIX = "-unlocked"  # suffix of the results folder
_RECORDED_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "peft", "openai")


@dataclass
class Session:
    """The open resources of a study; see `open_session`."""

    task: Task
    loaded: Loaded
    split: Split
    sealed: Sealed
    ledger: Ledger
    options: RunOptions
    study: str
    tell: Tell
    purse: SpendingCap | None = None
    salt: str = ""
    executor: Executor = THIS_PROCESS
    metric_source: str = ""  # hash of the user's own metric file as it was opened
    available: Available = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Pass a message for the user to `tell`."""
        self.tell("say", text)

    @cached_property
    def models(self) -> Models:
        """Return a mapping from role to each model that can be opened here; opens on first use."""
        task = self.task
        usable = {role: s for role, s in wanted_models(task).items() if not unusable(s)}
        rank = highest_rank(specs(task)) if not untrainable(task) else 0

        def opened(spec: str, fields: Mapping[str, Any]) -> Model:
            if notice := first_use(spec):
                self.say(notice)
            request_options = RequestOptions(fields, task.max_connections, self.say, rank)
            model = open_model(spec, folder=task.folder, purse=self.purse,
                               prices=task.economics.prices, requests=request_options,
                               place=placement(task), say=self.say)  # fmt: skip
            for notice in notices(model):
                self.say(notice)
            return model

        return Models(usable, opened, request_fields(task))

    @cached_property
    def audit(self) -> Audit:
        """Return the audit of the rows, with token counts if an arm uses a local base model."""
        model = self._model
        sizes = (tokens(model), model.context) if model else (None, None)
        pays = {
            "arms": competing_arms(self.task, self.available),
            "look": bounds_pay_for(self)["looks"],
        }
        logged = answer_observations(self.loaded, self._logged, self.split.early)
        return with_observations(audit(self.loaded, self.split, *sizes, **pays), logged)

    @cached_property
    def _model(self) -> Model | None:
        """Return the base model if it is local and an arm uses it, else None.

        A remote model is neither timed nor used to count tokens: each request may cost money.
        """
        if not is_local(self.task.model):
            return None
        arms = [spec for spec in specs(self.task) if not unmet_needs(spec, self.available)]
        needed = any(needs_of_arm(s) & {"model", "training"} for s in arms)
        return self.models["base"] if needed and "base" in self.models else None

    @cached_property
    def metric(self) -> Any:
        """Return the task's metric, a function of (case, answer) that returns Score or Unscored."""
        return metric_of(self.task, self.models, self._judgements_stored_once, self.salt)

    def _judgements_stored_once(self, key: str, make: Callable[[], Any]) -> Mapping[str, Any]:
        return self.ledger.unit(key, "judged", make, self.study, final_replies)

    @cached_property
    def looks(self) -> LookCount:
        """Count this study's look at the scored cases, once; return its ordinal and scope."""
        return self.count_look_once(self.study)

    def count_look_once(self, study: str) -> LookCount:
        """Count a look at the scored cases under the name `study`, once; return its number."""
        looks = record_look(self.ledger, study, *self.scored_rows_identity())
        if looks.trouble:
            self.say(looks.trouble)
        return looks

    def uncounted_look(self) -> LookCount:
        """Return the look that this study has or would have, with its scope; count nothing."""
        return next_look(self.ledger, self.study, *self.scored_rows_identity())

    def scored_rows_identity(self) -> tuple[str, tuple[str, ...]]:
        """Return (digest of all scored cases, a digest of each one's input)."""
        cases = list(self._open_scored_cases().values())
        return rows_digest(cases), input_digests(cases)

    def _open_scored_cases(self) -> dict[str, Case]:
        return self.sealed.open("compare")

    def plan(self, keep: bool = True) -> Plan:
        """Return the plan frozen in the ledger, else a new one, which `keep` freezes."""
        stored = self.ledger.frozen(self.study, "plan")
        if stored is None:
            stored = self.make_plan(self.plan_inputs()).plain()
            if keep:
                stored = self.ledger.freeze(self.study, "plan", stored)
        free = not any(map(is_paid, self.models.specs))
        volume = self.task.economics.requests_per_month
        minutes = self.minutes if self.task.budget.stages else None
        return Plan.model_validate(stored).with_caps(self.task.budget, free, volume, minutes)

    def plan_inputs(self, speed: timing.Speed | None = None) -> planning.PlanInputs:
        """Return the inputs of a plan; time a local base model unless its `speed` is given."""
        task, docs = self.task, self.loaded.docs
        part = max(self.split.parts, key=lambda p: len(p.train), default=None)
        train, dev = (len(part.train), len(part.dev)) if part else (0, 0)
        model = self._model
        if speed is None and model:
            speed = timing.measure_speed(task, self.loaded.cases, model, self.tell)
            if warning := timing.busy_warning(speed):
                self.say(warning)
        lengths = timing.mean_sizes(task, self.loaded.cases, train, dev, model, docs)
        sizes = lengths.model_copy(update={"unlabelled": len(self.unlabelled)})
        waits = reply_seconds(self.ledger.home)
        return planning.PlanInputs(
            task=task,
            split=self.split,
            audit=self.audit,
            available=self.available,
            sizes=sizes,
            speed=speed,
            remote=remote_models(task, self.loaded.everyone, sizes, docs, waits),
            looks=self.uncounted_look().look,
            limited=self.options.limit is not None,
        )

    def make_plan(self, facts: planning.PlanInputs) -> Plan:
        """Return the plan for these inputs, with its optional measurements; store nothing."""
        rows = rows_digest(self.loaded.cases)
        plan = planning.make_plan(facts, specs(facts.task), rows, self.study)
        facts = planning.with_examples(facts, [arm.spec for arm in plan.arms if not arm.because])
        beside = plan_extras(facts, plan, self.options.brief)
        return plan.model_copy(
            update={"beside": beside, "looks_scope": self.uncounted_look().scope}
        )

    def runner(self) -> Runner:
        """Return the runner, which holds what units need to fit, answer and be stored."""
        return Runner(
            task=self.task,
            study=self.study,
            split=self.split,
            sealed=self.sealed,
            learn_cases={c.id: c for c in (*self.loaded.cases, *(self.loaded.dev or ()))},
            models=self.models,
            ledger=self.ledger,
            metric=self.metric,
            metric_digest=metric_digest(self.task, self.models),
            salt=self.salt,
            recorded=self._recorded(),
            unlabelled=self.unlabelled,
            docs=self.loaded.docs,
            say=self.say,
            done=lambda answers: self.tell("answers", answers),
            check=signals.check,
            executor=self.executor,
        )

    @cached_property
    def unlabelled(self) -> list[Query]:
        """Return the unlabelled inputs that arms may learn from; [] if no arm reads them."""
        reads = any(reads_unlabelled(spec.arm) for spec in specs(self.task))
        rows, rule = (*self.loaded.everyone, *self.loaded.aside), self.task.data.copies
        return learnable_inputs(self.loaded.unlabelled, rows, self.say, rule) if reads else []

    @cached_property
    def _logged(self) -> dict[str, AlignedAnswers]:
        """Return {recorded system: its logged answers, one per scored row in order}."""
        return recorded_answers(self.loaded, scored_cases(self.loaded, self.split))

    def _recorded(self) -> dict[str, dict[str, Answer]]:
        """Return {recorded system: {case id: logged answer}}."""
        return {name: {a.case: a for a in logs.answers} for name, logs in self._logged.items()}

    @cached_property
    def inputs(self) -> ComparisonInputs:
        """Return the inputs of comparing runs: task, folds, grades, blocks, what bounds pay for."""
        scored = list(self._open_scored_cases().values())
        grades = grades_of(self.task, scored)
        refused = judge_refusal(self.metric, scored, grades, self.models.specs)
        return ComparisonInputs(
            task=self.task,
            study=self.study,
            split=self.split,
            grades=grades,
            right=right_answers(scored),
            blocks=(*blocking_reasons(self.task, self.audit, scored, self.metric), *refused),
            pool=len(self.loaded.unlabelled),
            limited=self.options.limit is not None,
            **bounds_pay_for(self),
        )

    @property
    def minutes(self) -> float:
        """Return the total time limit of the study in minutes, including `--more`."""
        return self.task.budget.minutes + sum(more_minutes(self.ledger, self.study))

    def refuse_unpaid(self) -> None:
        """Raise TaskError for what needs `--pay` and has it not (see `refuse_uncapped`)."""
        if not self.options.pay:
            refuse_uncapped(self.task, self.purse, self.models.specs)

    def finished(self) -> Results | None:
        """Return the stored results of this study; None if it is not finished."""
        return self._stored_results().latest()

    def finish(self, results: Results) -> Results:
        """Store the results and return them as stored; see `StoredResults.store`."""
        return self._stored_results().store(results, self.study)

    def repeats(self, finished: Results) -> bool:
        """Return whether a finished study runs again because answers failed that may come now."""
        failures = self._stored_results().begin_repetition(finished)
        if failures:
            self.say(f"{count_noun(failures, 'answer')} failed and may come now: asking again")
        return failures > 0

    def _stored_results(self) -> StoredResults:
        times = len(more_minutes(self.ledger, self.study))
        name = f"{self.study}, more {times}" if times else self.study
        key_of = partial(results_key, models=self.models.specs, folder=self.task.folder)
        return StoredResults(self.ledger, name, key_of)

    def write(self, results: Results) -> Path:
        """Write results, verdict, plan and report under results/; return their folder."""
        suffix = UNLOCKED_SUFFIX if self.options.unlock else ""
        folder = write_results(results, self.task.folder, self.study, suffix)
        write_digests(folder, self.loaded.files)
        return folder

    def reproduce(self) -> dict[str, Any]:
        """Return a dict of versions, hardware and commands needed to reproduce the numbers."""
        run = "tuneworthy run --unlock" if self.options.unlock else "tuneworthy run"
        return {
            "tuneworthy": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "versions": {key: known for key in _RECORDED_PACKAGES if (known := installed(key))},
            "rows": rows_digest(self.loaded.cases),
            "study": self.study,
            "seed": self.task.seed,
            "looks": self.looks.look,
            "commands": ["tuneworthy check", "tuneworthy plan", run],
            **({"endpoints": list(self.models.notes)} if self.models.notes else {}),
            **({METRIC_SOURCE_KEY: self.metric_source} if self.metric_source else {}),
            **unknown_costs(self.purse),
            **spent_before(self),
        }


def read(
    path: Path, options: RunOptions, tell: Tell = lambda event, data: None
) -> tuple[Loaded, Split]:
    """Return the rows of a task file, with their task, and their split; open nothing to score."""
    how = options.bad_rows, options.max_bad, options.limit, options.unlock
    task, files = read_task(path).within(options.minutes), file_digests(path)
    loaded = with_inferred_passages(load(task, *how, say=lambda text: tell("say", text)))
    return replace(loaded, files=files), split(loaded)


@contextmanager
def open_session(
    path: Path, options: RunOptions, tell: Tell = lambda event, data: None, get: Fetched = "never"
) -> Iterator[Session]:
    """Yield a task's open session, its ledger's one writer; `get` MiniLM as `missing` fetches."""
    loaded, parts = read(path, options, tell)
    task, budget = loaded.task, loaded.task.budget
    with open_ledger(task.folder) as ledger:
        empty_side = Sealed((), lambda door, purpose: None)
        session = Session(task, loaded, parts, empty_side, ledger, options, "", tell)
        session.metric_source = own_source(task)
        session.available = needs_met(loaded)
        flags = {key: True for key in ("brief", "unlock") if getattr(options, key)}
        identity = study_identity(loaded, session.available) | {"limit": options.limit, **flags}
        if session.available["vectors"] and fetches(ledger, identity, task, options):
            session.available = needs_met(loaded, get, session.say)
            identity |= study_identity(loaded, session.available)
        check_device(task, session.models.specs)
        session.study, session.salt = study_and_salt(ledger, identity, options.fresh)
        session.sealed = Sealed(scored_cases(loaded, parts), partial(ledger.door, session.study))
        study, others = session.study, others_of_name(ledger, task.name, session.study)
        session.purse = SpendingCap(ledger, budget.usd, budget.tokens, study, session.salt, others)
        session.task = _with_answer_limit(session)
        with executor_of(task, options.on, session.say) as session.executor:
            try:
                yield session
            finally:
                if "models" in vars(session):  # else this access would open them
                    session.models.close()


def _with_answer_limit(session: Session) -> Task:
    """Return the task with an inferred `max_tokens` recounted by the base model's tokenizer."""
    task = session.task
    if "output.max_tokens" not in task.inferred or session._model is None:
        return task
    most = answer_limit([case.output for case in session.loaded.cases], tokens(session._model))
    output = task.output.model_copy(update={"max_tokens": most})
    return task.model_copy(update={"output": output}).at(task.folder)
