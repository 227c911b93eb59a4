"""Measure the parity of every written form in the engine that will serve it; store the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneworthy.handover.forms._parts import Parts
from tuneworthy.handover.parity import ReferenceAnswers, compare_answers, compare_form
from tuneworthy.handover.system import open_artefact
from tuneworthy.matrix.design import Design
from tuneworthy.measure.built_arm import DeployedArm
from tuneworthy.records.artefact import Artefact, System
from tuneworthy.records.build_report import FormParity
from tuneworthy.records.case import Case
from tuneworthy.records.code import code_version
from tuneworthy.records.errors import DoesNotFit
from tuneworthy.records.freed_memory import trim_heap
from tuneworthy.records.record import digest

ASKED_CASES = 100  # that every form answers; 86 equal answers exclude a drop of .05
_PARITY_CODE = (
    "handover/forms/*.py",
    "handover/artefact_folder.py",
    "handover/parity.py",
    "handover/system.py",
    "models/**/*.py",
    "stats/*.py",
    "models/train/*.py",
)
_THINKING_NOTE = "the model thinks before it answers, and plain engines return the thought as text"


def ask_again(
    arm: DeployedArm, parts: Parts, written: tuple[Path, Artefact], forms: Sequence[Any]
) -> tuple[FormParity, ...]:
    """Return the parity with the fitted arm: of the artefact itself, then of each exported file.

    `written` is the sealed draft folder with its manifest. At most ASKED_CASES of the scored cases
    are asked, drawn by the task's seed. The arm may have learnt from them, which does no harm: one
    fit is compared with itself.
    """
    return tuple(_ParityCheck(arm, parts, *written).all(forms))


class _ParityCheck:
    def __init__(self, arm: DeployedArm, parts: Parts, draft: Path, sealed: Artefact) -> None:
        self.arm, self.parts, self.draft, self.sealed = arm, parts, draft, sealed

    def all(self, forms: Sequence[Any]) -> list[FormParity]:
        found = [self._artefact_parity()]
        for form in forms:
            if hasattr(form, "open_for_parity"):
                found += self._form_parity(form)
        return found

    def _form_parity(self, form: Any) -> list[FormParity]:
        if getattr(self.parts.model, "thinks", False):
            return [FormParity(form=form.FORM, because=_THINKING_NOTE)]
        stored = self.arm.runner.ledger.unit(
            self._parity_key(form.FORM), "parity", lambda: {"parity": self._ask_engines(form)},
            self.arm.runner.study,
        )  # fmt: skip
        return [FormParity.model_validate(one) for one in stored["parity"]]

    def _ask_engines(self, form: Any) -> list[dict[str, Any]]:
        exact = bool(form.exact(self.parts)) if hasattr(form, "exact") else False
        found: list[FormParity] = []
        room = max(self.reference.counts, default=0) + self.reference.max_tokens
        try:
            for name, engine in form.open_for_parity(replace(self.parts, room=room), self.draft):
                self.arm.runner.check()
                self.parts.say(f"asking {name} {len(self.cases)} cases again")
                if isinstance(engine, str):
                    found.append(FormParity(form=name, because=engine))
                else:
                    found.append(compare_form(name, engine, self.reference, exact=exact))
                del engine  # its weights are freed before the next one is opened
                trim_heap()
        except DoesNotFit as error:
            found.append(FormParity(form=form.FORM, because=f"{error.what} {error.got}".strip()))
        return [one.plain() for one in found]

    def _parity_key(self, form: str) -> str:
        files = {name: hash_ for name, hash_ in self.sealed.files.items()
                 if name.startswith(f"{form}/")}  # fmt: skip
        return digest({
            "what": "parity", "form": form, "id": self.sealed.id, "files": files,
            "cases": [case.id for case in self.cases], "metric": self.arm.runner.metric_digest,
            "margin": self.parts.task.success.margin, "made_by": code_version(_PARITY_CODE),
            "fit": self.arm.key, "unit": ASKED_CASES,
        })  # fmt: skip

    def _artefact_parity(self) -> FormParity:
        """Return the opened artefact's parity: of prompts, or of answers if it has no model."""
        system = open_artefact(self.draft, self.parts.task.folder, self.parts.base)
        if self.sealed.pack.role:
            return self._prompt_parity(system)
        library = "transformers" if self.sealed.pack.encoder else "scikit-learn"
        engine = f"{library} {version(library)}, from its file"
        return compare_answers("artefact", engine, self.reference, system.answer(self.queries))

    def _prompt_parity(self, system: System) -> FormParity:
        """Return the parity of the artefact's prompts with the fitted arm's; send nothing."""
        ours, theirs = self.arm.prompts(self.queries) or [], system.prompts(self.queries) or []
        n, both = len(self.queries), zip(self.cases, ours, theirs, strict=True)
        same = {case.id: tuple(one) == tuple(other) for case, one, other in both}
        equal = sum(same.values())
        lost = () if equal == n else (f"{n - equal} of {n} prompts are not those of the arm",)
        return FormParity(
            form="artefact",
            engine="prompts compared, nothing sent",
            asked=n,
            equal=equal,
            agreement=Design.of_cases(self.cases).share(same).interval,
            failed=lost,
        )

    @cached_property
    def cases(self) -> list[Case]:
        runner = self.arm.runner
        opened = runner.sealed.open("parity of a build")
        order = sorted(opened, key=lambda name: digest([runner.task.seed, "parity", name]))
        return [opened[name] for name in order[:ASKED_CASES]]

    @cached_property
    def queries(self) -> list[Any]:
        return [case.query() for case in self.cases]

    @cached_property
    def reference(self) -> ReferenceAnswers:
        parts, runner = self.parts, self.arm.runner
        answers = self.arm.answers(self.queries)
        limits = parts.artefact.pack.limits
        local = hasattr(parts.model, "module")
        return ReferenceAnswers(
            cases=self.cases,
            answers=answers,
            score=runner.metric,
            margin=parts.task.success.margin,
            max_tokens=limits.max_tokens if limits else 0,
            counts=[parts.model.count_tokens(a.prompt) for a in answers] if local else (),
            tuned=_logprob_scorer(parts.model) if local else None,
            base=_logprob_scorer(parts.base) if local and parts.artefact.pack.adapter else None,
        )


def _logprob_scorer(model: Any) -> Any:
    from tuneworthy.models.local.score import token_logprobs

    return lambda prompts, texts: token_logprobs(model, prompts, texts)
