"""Decide a verdict from evidence: pure, so the same evidence gives the same verdict anywhere.

It knows effects, costs, limits and the tool, role and simplicity that each arm declares; it reads
no file and no clock, and knows no arm by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.records import __version__
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.further import for_verdict
from tuneworthy.records.results import GridPoint
from tuneworthy.records.verdict import (
    Delta,
    Finding,
    LeftOnTable,
    Standing,
    TaskName,
    Verdict,
    VerdictArm,
    Wrong,
)
from tuneworthy.verdict.flips import MARGIN_GRID, at_margin, flips, rulings_by_margin
from tuneworthy.verdict.missing import NO_TARGET, complete_findings, reasons_for_nulls
from tuneworthy.verdict.next_step import next_step
from tuneworthy.verdict.open_pairs import settlement_sentence
from tuneworthy.verdict.prices import known_prices
from tuneworthy.verdict.rule import LadderDecision, apply_rule, ladder_scenarios
from tuneworthy.verdict.rungs import Ladder, ladder_key
from tuneworthy.verdict.sentences import why_named
from tuneworthy.verdict.step_commands import with_command
from tuneworthy.verdict.worth import economics_of_arms

_ROLE_ORDER = ("reference", "candidate", "ceiling", "placebo")
_NO_OTHER_COMPARED = "no other arm was compared"
_NO_REFERENCE = "no reference was compared, so there is nothing to measure from"
_WHY_LEFT_UNKNOWN = (
    "right answers of what runs today were refused for their form, so its score is too low"
)
_WHY_NO_ARM = {
    "limits": "no arm that keeps your limits is good enough to be named",
    "nothing": "no arm that could be named was measured",
}
_VOLUME_GRID = (1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7)


def decide(
    evidence: Evidence,
    findings: Sequence[Finding],
    policy: Policy,
    version: str = __version__,
) -> Verdict:
    """Return the verdict: arm to use, status, next step, every section and the reason of each null.

    The ladder is climbed only if the rung below is beaten; `left_on_table` bounds by how many
    score points another measured arm may be better.
    """
    scenarios = ladder_scenarios(evidence, policy)
    ladder, ruling, strip = (
        scenarios.seen,
        apply_rule(scenarios, policy),
        rulings_by_margin(scenarios, policy),
    )
    met = target_met(policy, ruling)
    step = next_step(evidence, policy, ladder, ruling, findings, met)
    money, known = economics_of_arms(ladder, policy, ruling.arm)
    parts: dict[str, Any] = {
        "tuneworthy": version,
        "task": TaskName(name=evidence.task, hash=evidence.task_hash or evidence.task),
        "use": ruling.use,
        "arm": ruling.arm.name if ruling.arm else None,
        "status": ruling.status,
        "left_on_table": _left_on_table(evidence, ruling),
        "by_margin": strip,
        "next": with_command(step, bool(ruling.arm and ruling.arm.recorded)),
        "because": _why_and_settlement(evidence, policy, ladder, ruling),
        "target_met": met,
        "looks": evidence.looks,
        "arms": tuple(
            _to_verdict_arm(arm, _delta_to_named(ladder, arm, ruling))
            for arm in _in_ladder_order(evidence)
        ),
        "wrong": evidence.diagnosis.wrong if evidence.diagnosis and not evidence.blocks else (),
        "questions": complete_findings(findings, policy),
        "changes": for_verdict(evidence.changes),
        "economics": money,
        "flips": flips(scenarios, policy, strip),
        "seconds": evidence.seconds,
        "evidence_hash": evidence.hash,
    }
    known |= _reasons_for_nulls(evidence, policy, ruling)
    plain = Verdict(**parts).plain()
    by_name = {arm.name: arm for arm in evidence.arms}
    known |= _reasons_for_no_delta(plain, ruling)
    diagnosis_missing = {
        **_why_causes_missing(evidence),
        **_untried_reasons(evidence, parts["wrong"]),
    }
    return Verdict(
        **parts, missing={**reasons_for_nulls(plain, by_name, known), **diagnosis_missing}
    )


def standing_so_far(evidence: Evidence, policy: Policy, waits: bool) -> Standing:
    """Return what the rule would name from the arms so far; `waits`: other arms follow.

    What is left then covers those too: one of them may be right on every row.
    """
    ruling = apply_rule(ladder_scenarios(evidence, policy), policy)
    left, named = ruling.left, ruling.arm
    if left is not None and waits:
        left = max(left, 1 - named.score.low if named and named.score else 1.0)
    use, name = ruling.use_and_name
    return Standing(use, name, left, tuple(_in_ladder_order(evidence)))


def grid(evidence: Evidence, findings: Sequence[Finding], policy: Policy) -> tuple[GridPoint, ...]:
    """Return the ruling at each margin of 0 to 20 points and, if prices are known, each volume.

    Findings explain and never change which arm is named.
    """
    del findings
    scenarios = ladder_scenarios(evidence, policy)
    volumes: set[float | None] = {policy.requests_per_month}
    if known_prices(scenarios.seen.rivals, policy.model_copy(update={"requests_per_month": 1.0})):
        volumes = {*_VOLUME_GRID, policy.requests_per_month or _VOLUME_GRID[0]}
    out = []
    for volume in sorted(volumes, key=lambda v: v or 0.0):
        for margin in MARGIN_GRID:
            at = at_margin(policy, margin).model_copy(update={"requests_per_month": volume})
            ruling = apply_rule(scenarios, at)
            use, arm = ruling.use_and_name
            out.append(
                GridPoint(margin=margin, requests_per_month=volume, use=use, arm=arm,
                          status=ruling.status, left=ruling.left)
            )  # fmt: skip
    return tuple(out)


def target_met(policy: Policy, ruling: LadderDecision) -> bool | None:
    """Return whether the named arm is shown to reach the target; None if neither is shown."""
    if policy.target is None or ruling.arm is None or ruling.arm.score is None:
        return None
    if ruling.arm.score.low >= policy.target:
        return True
    return False if ruling.arm.score.high < policy.target else None


def exit_code(verdict: Verdict, require_firm: bool = False) -> int:
    """Return 0 (a verdict; target met or none set), 3 (target not met) or 4 (blocked).

    A provisional verdict under `require_firm` is 4. A target that is shown neither met nor missed
    counts as not met, because 0 promises that it is met.
    """
    if verdict.status == "blocked" or (require_firm and verdict.status != "firm"):
        return 4
    unset = verdict.missing.get("/target_met") == NO_TARGET
    return 0 if verdict.target_met or unset else 3


def _in_ladder_order(evidence: Evidence) -> list[ArmResult]:
    """Return the arms in ladder order: references, then rungs, then the rest."""
    return sorted(evidence.arms, key=lambda arm: (_ROLE_ORDER.index(arm.role), *ladder_key(arm)))


def _why_and_settlement(
    evidence: Evidence, policy: Policy, ladder: Ladder, ruling: LadderDecision
) -> str:
    why = why_named(evidence, policy, ladder, ruling)
    return f"{why} {settlement_sentence(evidence.settled)}" if evidence.settled else why


def _left_on_table(evidence: Evidence, ruling: LadderDecision) -> LeftOnTable | None:
    if ruling.left is None:
        return None
    versus = ruling.arm or ruling.against
    return LeftOnTable(
        points=ruling.left,
        level=round(1 - evidence.alpha, 6),
        arm=ruling.left_by.name if ruling.left_by else None,
        versus=versus.name if versus else None,
    )


def _to_verdict_arm(arm: ArmResult, delta: Delta | None) -> VerdictArm:
    same = set(VerdictArm.model_fields) & set(ArmResult.model_fields) - {"valid"}
    valid = arm.valid.mean if arm.valid else None
    plain = {key: getattr(arm, key) for key in same} | {"because": str(arm.because or "")}
    return VerdictArm(**plain, valid=valid, delta=delta)


def _delta_to_named(ladder: Ladder, arm: ArmResult, ruling: LadderDecision) -> Delta | None:
    """Return score of arm - named arm (if none: - reference) with bounds; None if not compared."""
    versus = ruling.arm or ruling.against
    if versus is None or (arm.name, versus.name) not in ladder.bounds:
        return None
    mean, low, high = ladder.bound(arm, versus)
    return Delta(mean=mean, low=low, high=high, versus=versus.name)


def _reasons_for_no_delta(plain: dict[str, Any], ruling: LadderDecision) -> dict[str, str]:
    versus = ruling.arm or ruling.against
    why = "it was not compared in pairs" if versus else "no arm is named"
    return {
        f"/arms/{i}/delta": (
            "this is the arm the others are compared with"
            if versus and arm["name"] == versus.name
            else why if arm["state"] in ("measured", "stopped_early") else arm["because"] or why
        )
        for i, arm in enumerate(plain["arms"])
    }  # fmt: skip


def _reasons_for_nulls(
    evidence: Evidence, policy: Policy, ruling: LadderDecision
) -> dict[str, str]:
    blocked = f"blocked: {evidence.blocks[0]}" if evidence.blocks else ""
    no_arm = blocked or "no arm is named"
    undecided = no_arm if ruling.arm is None else "the target lies inside the score's interval"
    return {
        "/changes": evidence.missing.get("changes", "no arm was trained here"),
        "/arm": blocked
        or _WHY_NO_ARM.get(ruling.reason, "no arm is shown better than the reference"),
        "/left_on_table/arm": "no other compared arm can be better",
        "/left_on_table/versus": "nothing was compared",
        "/left_on_table": blocked or _why_left_unknown(ruling),
        "/target_met": NO_TARGET if policy.target is None else undecided,
    }


def _why_left_unknown(ruling: LadderDecision) -> str:
    if ruling.refused:
        return _WHY_LEFT_UNKNOWN
    if ruling.unbounded:
        return "rows or right answers depend on each other, so no bound holds"
    return _NO_OTHER_COMPARED if ruling.arm else _NO_REFERENCE


def _untried_reasons(evidence: Evidence, wrong: Sequence[Wrong]) -> dict[str, str]:
    """Return {JSON pointer: text on untried remedies} for nulls of the row `untried`; or {}."""
    waits = evidence.diagnosis.untried if evidence.diagnosis else ()
    why = "; ".join(
        f"{one.name}: not tried on {one.n:,} of them" + (f" ({one.because})" if one.because else "")
        for one in waits
    )
    at = [number for number, row in enumerate(wrong) if row.cause == "untried"]
    keys = ("arm", "placebo")
    return {f"/wrong/{i}/{key}": why for i in at for key in keys} if why else {}


def _why_causes_missing(evidence: Evidence) -> dict[str, str]:
    """Return {"/wrong": why the causes are absent or incomplete}; {} if they are complete."""
    if evidence.diagnosis is None:
        return {
            "/wrong": "neither what runs today nor a prompt was measured: nothing to read across"
        }
    if evidence.blocks:
        return {"/wrong": f"blocked: {evidence.blocks[0]}"}
    return {"/wrong": why} if (why := evidence.diagnosis.because) else {}
