"""Evidence, built in code, on which each question answers yes, no, and not measured.

`SCENES[question][answer]` is a list of evidence; `BESIDE[question]` has negative controls: the
bound just on the other side of the threshold, so the answer must be not measured.
"""

from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.causes import Diagnosis, Effect, Wrong
from tuneworthy.records.evidence import ArmResult, Evidence, Pair
from tuneworthy.records.further import (
    Freshness,
    KnowledgeProbe,
    LearningCurve,
    LearningPoint,
    PromptSearch,
    Proportion,
    SearchStep,
    SideEffects,
    UntriedSearch,
)
from tuneworthy.records.interval import Interval
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.split import SegmentMeans, Trend
from tuneworthy.records.task import Data, Economics, Success, Task
from tuneworthy.stats.bounds import rate

N = 250
TASK = Task(
    data=Data(file="rows.jsonl"),
    success=Success(margin=0.05),
    economics=Economics(
        requests_per_month=40_000, value_of_correct=0.05, hours_per_retrain=8, engineer_hour=90
    ),
)


def span(mean, low, high):
    return Interval(mean=mean, low=low, high=high)


def share(k, n):
    low, high = rate(k, n)
    return Proportion(k=k, n=n, share=k / n, low=low, high=high)


def arm(name, tool, mean=0.8, **more):
    fields = {"usd_per_1k": 1.0, "build_usd": 0.0, "upkeep_usd_month": 0.0} | more
    return ArmResult(
        name=name, tool=tool, role="candidate", simplicity=0, state="measured", n=N,
        score=span(mean, mean - 0.05, mean + 0.05), finalist=True, **{"options": {}} | fields,
    )  # fmt: skip


def pair(one, versus, mean, low, high, n=N):
    return Pair(arm=one, versus=versus, n=n, mean=mean, low=low, high=high, level=0.025,
                factor=1.0, wins=20, losses=10, differ=30, apart=40)  # fmt: skip


def evidence(arms=(), pairs=(), n=N, **more):
    fields = {"train": 200} | more
    return Evidence(task="t", hash="e" * 64, n=n, alpha=0.05, arms=tuple(arms),
                    pairs=tuple(pairs), **{"looks": 1} | fields)  # fmt: skip


EMPTY = Evidence(task="t", hash="e" * 64, n=0, looks=1, alpha=0.05, arms=(), pairs=())


def sound(**more):
    fields = {
        "n": 2000, "mde": 0.04, "differ": 0.2, "ladder": {"another row": 0.99}, "gold": 1.0,
        "leak": 0.0, "contradictions": share(0, 250), "one_form": share(250, 250),
    }  # fmt: skip
    return Soundness(**fields | more)


def curve(gain, **more):
    points = (
        LearningPoint(rows=100, n=N, repeats=5, score=span(0.6, 0.5, 0.7)),
        LearningPoint(rows=200, n=N, repeats=5, score=span(0.7, 0.6, 0.8)),
    )
    fields = {"points": points, "needed": 320.0, "low": 260.0, "high": 410.0} | more
    return (LearningCurve(arm="lora", tool="tune", last_doubling=gain, **fields),)


def classified(gain, **more):
    """Return a classifier alone, with its learning curve."""
    found = curve(gain)[0].model_copy(update={"tool": "classifier", "arm": "words"})
    return evidence([arm("words", "classifier", learned=True)], curves=(found,), **more)


def two_sizes(mean, low, high, rows=100):
    """Return (arms, pairs) of trainings of one kind on `rows` and on all 200 rows."""
    sizes = {"lora(rows)": rows, "lora": None}
    arms = [arm(name, "tune", learned=True, options={"rank": 8, "rows": size})
            for name, size in sizes.items()]  # fmt: skip
    other = arm("full", "tune", learned=True, options={})
    return [*arms, other], [pair("lora", "lora(rows)", mean, low, high)]


def cut_for_time(minutes):
    left = {"state": "skipped", "because": NO_ROOM, "more_minutes": minutes, "score": None}
    return arm(f"lora {minutes}", "tune").model_copy(update=left)


def learning(**more):
    """Return evidence of a study with a tuned arm, and nothing to compare it with."""
    return evidence([arm("lora", "tune", 0.9, learned=True)], **more)


def recorded(mean=0.12, low=0.03, high=0.2, **more):
    """Return a tuned arm and a prompt that are known by their recorded answers alone."""
    logs = {"recorded": True}
    arms = (arm("prompt", "prompt", **logs), arm("lora", "tune", 0.9, **logs))
    return evidence(arms, (pair("lora", "prompt", mean, low, high),), **more)


def tuned(mean, low, high, rows=None, **more):
    """Return a tuned arm beside a prompt, with their paired difference."""
    arms = (arm("prompt", "prompt"), arm("lora", "tune", 0.9, options={"rows": rows}))
    return evidence(arms, (pair("lora", "prompt", mean, low, high),), **more)


def apart(mean, low, high, **more):
    """Return two arms that compete, with the difference of the tuned one to the prompt."""
    arms = (arm("prompt", "prompt", compared=True), arm("lora", "tune", compared=True))
    return evidence(arms, (pair("lora", "prompt", mean, low, high),), **more)


def search(gain, **more):
    steps = (SearchStep(tried=4, score=0.6, n=50), SearchStep(tried=8, score=0.62, n=50))
    fields = {"optimised": True, "rho": span(0.85, 0.6, 1.1)} | more
    found = PromptSearch(arm="prompt", budget=8, steps=steps, gain=gain, **fields)
    return evidence(search=found)


def beside_tuning(mean, low):
    """Return a search whose last doubling gained, and a tuned arm ahead of its prompt."""
    arms = [arm("prompt", "prompt"), arm("lora", "tune")]
    return evidence(arms, [pair("lora", "prompt", mean, low, 0.3)], search=search(STEEP).search)


def unsearched(tools=("prompt", "tune"), mean=0.8, minutes=12, pairs=True):
    """Return evidence of arms of these tools where a search for a prompt could run and did not."""
    how = "`tuneworthy run --more 12m`"
    could = UntriedSearch(arm="a search", prompts=8, minutes=minutes, how=how)
    names = {"prompt": "prompt", "tune": "lora"}
    arms = [arm(names.get(tool, f"{tool} {at}"), tool, mean) for at, tool in enumerate(tools)]
    found = [pair("lora", "prompt", 0.12, 0.05, 0.19)] if pairs and "tune" in tools else []
    return evidence(arms, found, untried_search=could)


def effect(name, remedy, gain=None, acts=True):
    return Effect(name=name, remedy=remedy, placebo="p", n_fail=100, n_pass=150, rescue=0.5,
                  placebo_rescue=0.1, harm=0.0, net=None, gain=gain, contrast=None,
                  corrected=None, acts=acts)  # fmt: skip


def read(causes, effects, few=False, n_fail=100, because=""):
    wrong = tuple(
        Wrong(cause=c, share=k / n_fail, low=0.0, high=1.0, n=n_fail, arm=None, placebo=None)
        for c, k in causes.items()
    )
    return Diagnosis(arm="prompt", n_fail=n_fail, n_pass=N - n_fail, effects=tuple(effects),
                     wrong=wrong, few=few, because=because)  # fmt: skip


PASSAGE, PILOT = effect("oracle", "knowledge"), effect("lora pilot", "learnable")
IDLE = effect("lora pilot", "learnable", acts=False)


def wrong(causes, *effects, **more):
    return evidence(diagnosis=read(causes, effects, **more))


def gained(tool, mean=0.15, low=0.13, base="prompt", **more):
    """Return an arm of a tool that gains that much over a base arm at .8, which lacks .25."""
    other = arm("base", base, present=base == "keep")
    found = arm("other", tool, 0.95, **more)
    return evidence((other, found), (pair("other", "base", mean, low, 0.2),))


def known(unknown, by_type=None):
    return evidence(known=KnowledgeProbe(unknown=unknown, by_type=by_type or {}))


def stale(days, gain=0.3, **more):
    fields = {"changed": share(6, 200), "over_days": 30.0} | more
    arms = (arm("lora", "tune"), arm("prompt", "prompt"))
    found = Freshness(days=days, **fields)
    return evidence(arms, (pair("lora", "prompt", 0.12, 0.0, gain),), staleness=found)


def aged(before, after, p=0.001):
    """Return a tuned arm whose lead over a prompt moved from `before` to `after` over time."""
    sides = {"before": (before, 100), "after": (after, 150)}
    means = {side: SegmentMeans(n=n, arm=0.5, versus=0.5 + lead)
             for side, (lead, n) in sides.items()}  # fmt: skip
    trend = Trend(arm="prompt", versus="lora", n=N, p=p, from_time="2026-03", **means)
    alone = Trend(arm="prompt", versus="lora", n=N, because="no row has a time")
    return evidence([arm("prompt", "prompt"), arm("lora", "tune")], trends=(alone, trend))


def lifted(name, remedy, mean, low, high, acts=True):
    gain = span(mean * N, low * N, high * N)
    arms = (arm(name, "bigger"),) if remedy == "capability" else ()
    return evidence(arms, diagnosis=read({"hard": 90}, [effect(name, remedy, gain, acts)]))


def priced(mean, low, high, **more):
    """Return a tuned arm that costs a dollar less a thousand requests, and 100 more a month."""
    arms = (
        arm("prompt", "prompt", usd_per_1k=2.0),
        arm("lora", "tune", 0.9, usd_per_1k=1.0, upkeep_usd_month=100.0, **more),
    )
    return evidence(arms, (pair("lora", "prompt", mean, low, high),))


def harm(general, **more):
    found = SideEffects(arm="lora", general=general, general_n=64, **more)
    return evidence(harms=(found,))


PERFECT = (LearningPoint(rows=200, n=N, repeats=5, score=span(0.99, 0.96, 1.0)),)
FLAT, STEEP, WIDE = span(0.01, -0.02, 0.04), span(0.08, 0.02, 0.14), span(0.03, -0.02, 0.08)
CALM = {"tail": span(0.0, -0.1, 0.1), "ece": span(0.0, -0.03, 0.03), "known": span(0, 0, 0.01)}

SCENES = {
    "enough_data": {
        "yes": [
            tuned(0.12, 0.03, 0.2, soundness=sound()),
            tuned(0.12, 0.03, 0.2, soundness=sound(fewest_of_a_class=4)),
            learning(curves=curve(FLAT), soundness=sound()),
            learning(curves=curve(STEEP, points=PERFECT), soundness=sound()),
            classified(FLAT, soundness=sound()),
            evidence([arm("lora", "tune", 1.01)], soundness=sound()),
            evidence(two_sizes(0.01, -0.02, 0.04)[0], two_sizes(0.01, -0.02, 0.04)[1],
                     soundness=sound()),
        ],
        "no": [
            learning(curves=curve(STEEP), soundness=sound()),
            learning(curves=curve(STEEP, needed=None, because="beyond 4 times the rows")),
            learning(train=49, curves=curve(FLAT), soundness=sound()),
            learning(curves=curve(FLAT), soundness=sound(fewest_of_a_class=9)),
            tuned(0.12, 0.03, 0.2, soundness=sound(contradictions=share(6, 250))),
            evidence([arm("prompt", "prompt")], train=12),
            classified(STEEP),
            tuned(-0.12, -0.2, -0.03),
            evidence(*two_sizes(0.08, 0.02, 0.14)),
        ],
        "not_measured": [
            EMPTY,
            recorded(train=12, soundness=sound(fewest_of_a_class=1)),
            evidence([arm("prompt", "prompt")]),
            evidence([cut_for_time(None), cut_for_time(11.2), cut_for_time(30.0)]),
            classified(WIDE),
            tuned(-0.12, -0.2, -0.03, train=400, rows=100),
            evidence(*two_sizes(0.08, 0.02, 0.14, rows=150)),
            evidence(*two_sizes(0.02, -0.02, 0.06)),
            evidence([*two_sizes(0.01, -0.02, 0.04)[0]]),
            learning(missing={"curves": "the plan had no minutes for it"}),
            learning(curves=curve(FLAT)),
            tuned(0.12, 0.03, 0.2),
        ],
    },
    "evaluation": {
        "yes": [
            evidence(soundness=sound()),
            evidence(soundness=sound(unscored=share(1, 100))),
            apart(-0.2, -0.3, -0.1, soundness=sound(mde=0.11)),
            apart(0.01, -0.03, 0.05, soundness=sound(mde=0.11, contradictions=None)),
            evidence(soundness=sound(noise=share(13, 250), contradictions=share(2, 250))),
        ],
        "no": [
            evidence(soundness=sound(ladder={"another row": 0.94})),
            evidence(soundness=sound(gold=0.98)),
            evidence(soundness=sound(mde=0.3, ladder={}, gold=None, unscored=share(40, 40))),
            evidence(soundness=sound(unscored=share(2, 100))),
            evidence(soundness=sound(leak=0.06)),
            evidence(soundness=sound(flips=span(0.1, 0.06, 0.15))),
            evidence(soundness=sound(judge="kappa .4 is below .6")),
            evidence(soundness=sound(contradictions=share(13, 250))),
            evidence(soundness=sound(leak=None, missing={"leak": "every row is a near-copy"})),
            evidence(soundness=sound(mde=0.0501)),
            evidence(soundness=sound(mde=0.11), looks=3, pool=100),
            apart(0.02, -0.04, 0.06, soundness=sound(mde=0.11)),
            apart(0.02, 0.0, 0.0501, soundness=sound(mde=0.11)),
            evidence(
                (arm("prompt", "prompt"), arm("lora", "tune")), soundness=sound(mde=0.11),
            ),
        ],
        "not_measured": [
            EMPTY,
            evidence(soundness=sound(ladder={}, missing={"ladder": "fewer than 10 rows"})),
            evidence(soundness=sound(mde=None, missing={"mde": "no row was scored"})),
        ],
    },
    "prompt_exhausted": {
        "yes": [search(FLAT), search(FLAT, rho=None), unsearched(mean=1.01),
                beside_tuning(0.2, 0.15)],
        "no": [
            search(STEEP),
            beside_tuning(0.2, 0.14),
            unsearched(),
            unsearched(["prompt"], minutes=None),
            unsearched(["schema", "prompt"], pairs=False),
            unsearched(["tune"]),
            unsearched(["classifier", "prompt"]),
        ],
        "not_measured": [EMPTY, search(FLAT, optimised=False), search(None),
                         search(None, optimised=False, because="it is known by recorded answers"),
                         recorded()],
    },
    "behaviour_not_facts": {
        "yes": [
            wrong({"format": 60, "learnable": 20, "knowledge": 10}, PASSAGE, PILOT),
            wrong({"learnable": 70, "hard": 30}, PILOT),
            gained("schema"),
        ],
        "no": [
            wrong({"knowledge": 60, "format": 20}, PASSAGE),
            wrong({"retrieval": 70}, PASSAGE, PILOT),
            known(share(25, 60)),
            known(share(12, 60), {"dates": share(18, 20)}),
            gained("context"),
        ],
        "not_measured": [
            EMPTY,
            wrong({"few": 30, "format": 20}, PASSAGE, few=True, n_fail=30),
            wrong({"hard": 100}, PILOT),
            wrong({"format": 60}, PASSAGE, IDLE),
            wrong({"few": 12, "format": 4}, few=True, n_fail=12, because="no remedy asks a model"),
            wrong({}, n_fail=0, because="nothing fails: there is no cause to seek"),
            gained("classifier"),  # the answers of TASK may be of any type
            gained("tune"),
            gained("schema", base="keep"),  # perhaps of another model
            gained("schema", low=0.12),
            gained("context", recorded=True),
            evidence((arm("base", "prompt"), arm("other", "schema"))),
        ],
    },
    "knowledge_still": {
        "yes": [stale(span(200, 91, 400)), stale(span(200, 200, 200), declared=True),
                stale(span(36_525, 36_525, 36_525), declared=True)],
        "no": [
            stale(span(60, 40, 89)),
            stale(span(100, 91, 110), gain=0.09),
            stale(span(200, 91, 400), faithful={"lora": share(60, 100)}),
            stale(None, faithful={"lora": share(60, 100)}),
            aged(0.2, 0.05),
        ],
        "not_measured": [
            EMPTY,
            evidence(staleness=Freshness(because="no passage has a date")),
            aged(0.05, 0.2),
            aged(0.2, 0.05, p=0.011),
        ],
    },
    "capability": {
        "yes": [
            lifted("bigger", "capability", 0.1, 0.02, 0.2),
            lifted("lora pilot", "learnable", 0.1, 0.0, 0.2),
            evidence(
                (arm("prompt", "prompt"), arm("large", "bigger")),
                (pair("prompt", "large", -0.2, -0.3, -0.1),),
                diagnosis=read({}, []),
            ),
        ],
        "no": [lifted("bigger", "capability", 0.01, -0.02, 0.04)],
        "not_measured": [
            EMPTY,
            lifted("vote", "latent", 0.01, -0.02, 0.04),
            lifted("vote", "latent", 0.6, 0.5, 0.7, acts=False),  # its prompt alone gains that
        ],
    },
    "economics": {
        "yes": [priced(0.10, 0.02, 0.18)],
        "no": [priced(-0.10, -0.18, -0.02)],
        "not_measured": [
            EMPTY,
            priced(0.10, 0.02, 0.18, build_usd=None),
            evidence((arm("lora", "tune"), arm("prompt", "prompt"))),
            evidence((arm("lora", "tune"),)),
        ],
    },
    "simpler_tool": {
        "yes": [tuned(0.01, -0.03, 0.05)],
        "no": [tuned(0.12, 0.03, 0.2)],
        "not_measured": [EMPTY, evidence((arm("lora", "tune"),)), tuned(0.05, -0.01, 0.11)],
    },
    "harm": {
        "yes": [
            harm(span(0.12, 0.06, 0.2)),
            harm(span(0.0, -0.01, 0.01), tail=span(-0.3, -0.4, -0.2)),
            harm(span(0.0, -0.01, 0.01), ece=span(0.1, 0.06, 0.15)),
            harm(span(0.0, -0.01, 0.01), known=span(0.05, 0.03, 0.08)),
        ],
        "no": [harm(span(0.01, -0.01, 0.03), **CALM), harm(span(0.01, -0.01, 0.03))],
        "not_measured": [EMPTY, recorded(), harm(None, missing={"general": "no adapter was kept"})],
    },
}  # fmt: skip

BESIDE = {
    "enough_data": [
        learning(curves=curve(span(0.03, 0.0, 0.05)), soundness=sound()),
        tuned(0.12, 0.0, 0.2, soundness=sound()),
        tuned(0.049, 0.03, 0.2, soundness=sound()),
    ],
    "evaluation": [evidence(soundness=sound(gold=None))],
    "prompt_exhausted": [search(span(0.03, 0.0, 0.05))],
    "behaviour_not_facts": [
        wrong({"knowledge": 50, "format": 50}, PASSAGE, PILOT),
        wrong({"knowledge": 40, "format": 50}, PASSAGE, PILOT),
        wrong({"learnable": 55, "hard": 45}, PILOT),
        wrong({"learnable": 5, "hard": 95}, PILOT),
    ],
    "knowledge_still": [stale(span(90, 89.9, 90)), stale(span(150, 60, 400))],
    "capability": [
        lifted("bigger", "capability", 0.06, -0.001, 0.13),
        lifted("bigger", "capability", 0.04, 0.0, 0.05),
    ],
    "economics": [priced(0.04, -0.04, 0.12)],
    "simpler_tool": [tuned(0.01, -0.03, 0.0501), tuned(0.08, 0.0, 0.16)],
    "harm": [
        harm(span(0.06, 0.05, 0.07)),
        harm(span(0.03, 0.01, 0.05)),
        harm(span(0.0, -0.01, 0.01), tail=span(-0.1, -0.2, 0.0)),
    ],
}
