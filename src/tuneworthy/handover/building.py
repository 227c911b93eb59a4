"""Build the arm that a verdict named: refit, export, check each exported form, publish.

Every fit, answer and comparison is stored: a stopped build resumes. Knows no arm or form by name.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneworthy.flows.finished_study import open_finished
from tuneworthy.flows.session import Session
from tuneworthy.handover.artefact_folder import (
    MANIFEST_FILE,
    deciding_files,
    expiry_of,
    folder_name,
    opened_at,
    publish_artefact,
    refuse_other_task,
    seal_artefact,
    upload,
    with_identity,
)  # fmt: skip
from tuneworthy.handover.forms._asked_again import ask_again
from tuneworthy.handover.forms._parts import Parts, sample_query
from tuneworthy.handover.system import deciding_settings, open_artefact, student_model
from tuneworthy.matrix.ladder import NO_DEV, best_on_dev
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.built_arm import DeployedArm
from tuneworthy.measure.further.freshness_rate import NEEDS_OF_READERS, freshness_of
from tuneworthy.models import weights_folder
from tuneworthy.models.encoder import encoder as minilm
from tuneworthy.models.local.serving import serving_commands
from tuneworthy.models.local.wheel import licence_of
from tuneworthy.records import __version__
from tuneworthy.records.artefact import Artefact, Pack, Passages, artefact_name
from tuneworthy.records.build_report import BuildReport, BuiltForm, FormParity
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.live_check import Expiry
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import digest
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run, RunOptions, Spec
from tuneworthy.records.specs import needs_of_arm, trains
from tuneworthy.report.results_folder import latest_results, read_results, settled_key
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.store import signals
from tuneworthy.store.trouble import output_errors

_LOAD_ADAPTER_FIX = "load this folder into your server as it is (vLLM: --lora-modules NAME=FOLDER)"
_CARD_FORM = "card"
_PASSAGE_OPTIONS = ("k", "tokens", "size")  # options of an arm that shows passages


@dataclass(frozen=True)
class BuildOptions:
    """What to build: `arm` (None: the one that the verdict names), `forms` (none: all that apply).

    `out` is the folder of builds (None: `build` beside task.yaml). `dry`: report what would be
    written; train and write nothing. `push` is the hub repository to upload to (None: none).
    """

    arm: str | None = None
    forms: tuple[str, ...] = ()
    out: Path | None = None
    dry: bool = False
    push: str | None = None


def build(
    path: Path,
    run_options: RunOptions = RunOptions(),
    options: BuildOptions = BuildOptions(),
    tell: Callable[[str, Any], None] = lambda event, data: None,
) -> BuildReport:
    """Build an arm of a finished study; return the report on its forms, their parity and folder.

    Raises TaskError if there is no finished study, if no arm is named, or if the arm can't be
    deployed. A form that fails its parity check refuses the build: `refused` is then set, and the
    files lie in a folder without a manifest, which nothing opens.
    """
    forms = {name: load("build", name) for name in catalogue("build")}
    named = {form.FORM for form in forms.values()}
    if unknown := sorted(set(options.forms) - named):
        raise TaskError("no form has this name", where="--form", got=", ".join(unknown),
                        fix=f"there are: {', '.join(sorted(named))}")  # fmt: skip
    with open_finished(path, run_options, tell) as (session, study):
        session.refuse_unpaid()
        building = _Building(session, _settled_results(session, study), options, [*forms.values()])
        return building.dry_run_report() if options.dry else building.build_artefact()


class _Building:
    """One build of one arm of a finished study."""

    def __init__(
        self, session: Session, study: Results, options: BuildOptions, forms: Sequence[Any]
    ) -> None:
        self.session, self.study, self.options, self.forms = session, study, options, forms
        self.evidence: Evidence = study.evidence
        self.name = arm_to_build(study, options.arm)
        self.spec: Spec = next(r.spec for r in study.runs if r.spec.name == self.name)
        self.seconds: dict[str, float] = {}

    def dry_run_report(self) -> BuildReport:
        """Return the report of the forms and sizes that a build would write; train nothing."""
        runs = [r for r in self._runs if r.state == "measured"]
        trained = [run for run in runs if run.artefact]
        adapter = self._home / str(best_on_dev(trained).artefact) if trained else None
        pack = Pack(role=self._role, adapter=bool(trained), passages=self._passages)
        model = self.session.models[self._role].spec if self._role else ""
        artefact = self._artefact(pack, {}, model)
        parts = self._form_inputs(artefact, None)
        parts = replace(parts, adapter=adapter if adapter and adapter.exists() else None)
        written = []
        for form in self._wanted_forms(artefact):
            why = form.applies(artefact) or _cannot_write(form, parts)
            size = None if why or not hasattr(form, "size") else _estimated_bytes(form, parts)
            written.append(BuiltForm(form=form.FORM, bytes=size, because=why))
        return BuildReport(artefact=artefact, arm=self.name, rows=parts.rows, planned=True,
                           forms=tuple(written), seeds=dict.fromkeys(self._seeds))  # fmt: skip

    def build_artefact(self) -> BuildReport:
        """Fit the arm, write its forms, check their parity, publish the folder; return a report."""
        arm, scores = self._best_fit()
        fitted = arm.fitted
        if fitted.pack is None:
            raise TaskError("this arm can't be deployed by `build`", where=self.name,
                            fix="name another arm with --arm")  # fmt: skip
        fingerprint, role = self._fingerprint(arm), fitted.pack.role
        spec = self.session.models[role].spec if role else ""
        sure = self._result.sure
        pack = fitted.pack.model_copy(update={"sure_from": sure and sure.threshold})
        artefact = self._artefact(pack, fingerprint, spec)
        parts = self._form_inputs(artefact, arm)
        out = self.options.out or self._home / "build"
        draft = out / f".draft-{artefact.name}-{artefact.origin}"
        with output_errors(draft):
            refuse_other_task(self.options.out, artefact)
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            parts, written = self._write_forms(parts, draft)
            parity = self._measure_parity(parts, draft, arm)
            refused = any(one.failed for one in parity)
            parts = replace(parts, parity=parity)
            written += self._write_form(load("build", _CARD_FORM), parts, draft)
            sealed = seal_artefact(draft, self._with_forms_listed(parts.artefact, written))
            folder = self._publish_or_set_aside(draft, out / folder_name(sealed), refused)
        return BuildReport(
            artefact=sealed, arm=self.name, rows=parts.rows, seeds=scores, forms=tuple(written),
            parity=parity, folder="" if refused else str(folder), refused=refused,
            commands=() if refused else self._commands(sealed, folder),
            pushed=upload(folder, self.options.push) if self.options.push and not refused else "",
        )  # fmt: skip

    def _best_fit(self) -> tuple[DeployedArm, dict[int, float | None]]:
        """Fit each seed; return the fit with the best dev score (ties: the first), and the scores.

        Each learns from the training and test rows (not from the user's own test file), and from
        the dev rows too if the arm chooses nothing on them. A score is None without dev rows.
        """
        scores: dict[int, float | None] = {}
        for seed, arm in zip(self._seeds, self._arms, strict=True):
            signals.check()
            self._report_progress(f"fitting {self.name} on {arm.rows} rows, seed {seed}")
            arm.fitted  # noqa: B018  fits, or loads what a former build fitted
            scores[seed] = arm.dev_score() if len(self._arms) > 1 else None
        values = [NO_DEV if score is None else score for score in scores.values()]
        return self._arms[values.index(max(values))], scores

    def _write_forms(self, parts: Parts, draft: Path) -> tuple[Parts, list[BuiltForm]]:
        """Write all forms but the card; return `parts` with identity and sample, and the forms.

        The needed forms come first: the id covers the documents, and the sample is a prompt of the
        opened artefact.
        """
        written: list[BuiltForm] = []
        wanted = [form for form in self._wanted_forms(parts.artefact) if form.FORM != _CARD_FORM]
        wanted.sort(key=lambda form: not form.NEEDED)
        needed = [form for form in wanted if form.NEEDED]
        for form in needed:
            written += self._write_form(form, parts, draft)
        sealed = seal_artefact(draft, parts.artefact)
        kept = deciding_files(sealed.files)
        artefact = with_identity(parts.artefact.model_copy(update={"files": kept}))
        system = open_artefact(draft, self._home, parts.base)
        shown = system.prompts([sample_query(self.session.loaded.everyone)])
        parts = replace(parts, artefact=artefact, sample=shown[0] if shown else ())
        for form in wanted[len(needed) :]:
            written += self._write_form(form, parts, draft)
        return parts, written

    def _write_form(self, form: Any, parts: Parts, draft: Path) -> list[BuiltForm]:
        signals.check()
        if why := form.applies(parts.artefact) or _cannot_write(form, parts):
            return [BuiltForm(form=form.FORM, because=why)]
        self._report_progress(f"writing {form.FORM}")
        begun, before = time.monotonic(), _folder_bytes(draft)
        notes = form.write(parts, draft)
        return [BuiltForm(form=form.FORM, bytes=_folder_bytes(draft) - before, notes=tuple(notes),
                          seconds=round(time.monotonic() - begun, 3))]  # fmt: skip

    def _measure_parity(
        self, parts: Parts, draft: Path, arm: DeployedArm
    ) -> tuple[FormParity, ...]:
        sealed = seal_artefact(draft, parts.artefact)
        forms = [form for form in self._wanted_forms(parts.artefact)
                 if not (form.applies(parts.artefact) or _cannot_write(form, parts))]  # fmt: skip
        return ask_again(arm, parts, (draft, sealed), forms)

    def _publish_or_set_aside(self, draft: Path, folder: Path, refused: bool) -> Path:
        if not refused:
            return publish_artefact(draft, folder)
        aside = folder.with_name(f"{folder.name}-refused")
        (draft / MANIFEST_FILE).unlink()
        shutil.rmtree(aside, ignore_errors=True)
        draft.rename(aside)
        return aside

    @property
    def _home(self) -> Path:
        return self.session.task.folder

    @property
    def _runs(self) -> list[Run]:
        return [run for run in self.study.runs if run.spec == self.spec]

    @property
    def _role(self) -> str:
        needs = needs_of_arm(self.spec)
        models = {"training": "tune", "bigger": "bigger", "model": "base"}
        return next((role for need, role in models.items() if need in needs), "")

    @property
    def _passages(self) -> Passages | None:
        """Return the arm's settings for showing passages; None if it shows none."""
        if "docs" not in needs_of_arm(self.spec):
            return None
        return Passages(dense=False, **{key: self.spec.options[key] for key in _PASSAGE_OPTIONS})

    @property
    def _seeds(self) -> list[int]:
        own = [a.seeds for a in self.study.plan.arms if a.spec == self.spec]
        seeds = list(own[0]) if own and own[0] else [self.session.task.seed]
        return seeds if trains(self.spec) else seeds[:1]

    @cached_property
    def _arms(self) -> list[DeployedArm]:
        runner: Runner = replace(self.session.runner(), runs=self.study.runs)
        return [DeployedArm(runner, self.study.runs, self.name, seed, {}, everything=True)
                for seed in self._seeds]  # fmt: skip

    @property
    def _result(self) -> ArmResult:
        return next(arm for arm in self.evidence.arms if arm.name == self.name)

    def _wanted_forms(self, artefact: Artefact) -> list[Any]:
        """Return the modules of requested forms (none: all), of the card and of needed forms.

        Raises TaskError if none of the requested forms applies.
        """
        asked = self.options.forms
        unfit = {form.FORM: why for form in self.forms if (why := form.applies(artefact))}
        if asked and unfit.keys() >= set(asked):
            raise TaskError("no form that you name applies to this arm", where="--form",
                            got="; ".join(f"{form}: {unfit[form]}" for form in asked),
                            fix="leave --form out, or name another form")  # fmt: skip
        return [form for form in self.forms if not asked or form.FORM in (*asked, _CARD_FORM)
                or (form.NEEDED and form.FORM not in unfit)]  # fmt: skip

    def _fingerprint(self, arm: DeployedArm) -> dict[str, str]:
        fitted, pack = arm.fitted, arm.fitted.pack or Pack()
        found, front = dict(fitted.model.fingerprint) if fitted.model else {}, pack.classifies
        if front or not fitted.model:
            library = "transformers" if front and front.encoder else "scikit-learn"
            found |= {"fit": arm.key[:16], library: version(library)}
        if front and front.encoder:
            found["tuned_from"] = fitted.classifier.tuned_from
        if (front and front.vectors) or (pack.passages and pack.passages.dense):
            found["encoder"] = minilm.WEIGHTS
        return {name: str(value) for name, value in found.items()}

    def _artefact(self, pack: Pack, fingerprint: dict[str, str], model: str) -> Artefact:
        task, cases = self.session.task, self.session.loaded.everyone
        roles = {one.role for case in cases for one in case.messages[:-1]}
        return Artefact(
            id="",
            name=artefact_name(task.name, self.spec.arm),
            arm=self.name,
            tool=self.spec.tool or "",
            made_by=f"tuneworthy {__version__}",
            model=model,
            fingerprint=fingerprint,
            pack=pack,
            task=deciding_settings(task, pack.role),
            evidence=self.evidence.hash,
            expires=self._expiry.day,
            origin=digest(str(self._home.resolve()), 8),
            roles=tuple(sorted(roles)),
        )

    @property
    def _expiry(self) -> Expiry:
        made = opened_at(self.session.ledger.doors(self.session.study))
        stale = self.evidence.staleness or freshness_of(self.session.task, (), ())
        reads = bool(needs_of_arm(self.spec) & NEEDS_OF_READERS)
        return expiry_of(made, stale, self._result, reads, datetime.now(UTC).isoformat())

    def _form_inputs(self, artefact: Artefact, arm: DeployedArm | None) -> Parts:
        session, pack = self.session, artefact.pack
        weights = weights_folder(artefact.model, self._home) if artefact.model else None
        base = session.models[pack.role] if pack.role else None
        if base is not None and pack.every > 1:
            base = student_model(base, pack.every)
        fitted, first = arm.fitted if arm else None, self._arms[0]
        return Parts(
            artefact=artefact, task=session.task, verdict=self.study.verdict, result=self._result,
            rows=first.learnt_rows if arm else first.rows,
            model=fitted.model if fitted else base, base=base,
            weights=weights, adapter=fitted.artefact if fitted else None,
            classifier=fitted.classifier if fitted else None,
            docs=session.loaded.docs if pack.passages else (), cases=session.loaded.everyone,
            licence=licence_of(artefact.model, weights), expiry=self._expiry,
            data_hash=rows_digest(session.loaded.cases), say=self._report_progress,
        )  # fmt: skip

    def _with_forms_listed(self, artefact: Artefact, written: Sequence[BuiltForm]) -> Artefact:
        forms = tuple(sorted(form.form for form in written if not form.because))
        return artefact.model_copy(update={"forms": forms})

    def _commands(self, artefact: Artefact, folder: Path) -> tuple[str, ...]:
        whole, forms = artefact.pack.every == 1, artefact.forms
        return serving_commands(artefact.model, self._home, folder, forms, whole_base=whole)

    def _report_progress(self, text: str) -> None:
        self.session.tell("say", text)


def _settled_results(session: Session, study: Results) -> Results:
    """Return the latest results if they are this study, settled by the ledger; else `study`."""
    try:
        latest = read_results(latest_results(session.task.folder, session.task.name, session.study))
    except TaskError:
        return study
    same = latest.course is not None and latest.reproduce.get("study") == session.study
    return latest if same and session.ledger.get(settled_key(latest)) is not None else study


def arm_to_build(study: Results, wanted: str | None) -> str:
    """Return the name of the arm to build. Raises TaskError if none is named or deployable."""
    measured = {run.spec.name: run for run in study.runs
                if run.state == "measured" and run.spec.role == "candidate"}  # fmt: skip
    able = sorted(name for name, run in measured.items()
                  if run.spec.arm not in ("present", "answers"))  # fmt: skip
    name = wanted or study.verdict.arm
    if name is None:
        raise TaskError("the verdict names no arm to build", got=study.verdict.__rich__(),
                        fix=f"name one: --arm {' | '.join(able) or 'NAME'}")  # fmt: skip
    there = f"name one of {', '.join(able)}" if able else "measure an arm that can be built first"
    if name not in measured:
        raise TaskError("no measured arm of this study has this name", where="--arm", got=name,
                        fix=there)  # fmt: skip
    if name not in able:
        raise TaskError("these answers come from outside: there is nothing to build", got=name,
                        fix=f"keep what runs today, or {there}")  # fmt: skip
    if "adapter" in (marks := measured[name].fingerprint) and "weights" not in marks:
        raise TaskError("an adapter that answers behind a server can't be built", got=name,
                        where=str(measured[name].artefact), fix=_LOAD_ADAPTER_FIX)  # fmt: skip
    return name


def _cannot_write(form: Any, parts: Parts) -> str:
    return str(form.cannot(parts)) if hasattr(form, "cannot") else ""


def _estimated_bytes(form: Any, parts: Parts) -> int | None:
    return None if parts.adapter is None and form.NEEDED else int(form.size(parts))


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
