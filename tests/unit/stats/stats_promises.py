"""Promises of whole studies, before (as of 40e84de3) and after: folds, rows, prompts, forecasts.

Each cell returns shares of studies by figure; "before" has the levels and choices of that version,
computed by the same functions.
"""

from functools import cache, lru_cache
from types import SimpleNamespace

import numpy as np
import stats_learners as learners
import stats_votes as votes
import stats_worlds as worlds

from tuneworthy.explain.comparison import compare
from tuneworthy.matrix import ladder
from tuneworthy.matrix.columns import by_spec, column, group_by_place
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.pairs import PairTable
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import Policy
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.stats import bounds, power
from tuneworthy.stats.clusters import Folds, refitted_factor
from tuneworthy.stats.distributions import binomial_chance
from tuneworthy.stats.graded import discordant_bounds
from tuneworthy.stats.trend import neighbours_alike
from tuneworthy.verdict.decide import decide

MARGIN, FOLDS = 0.05, 5
SCORES = (Score(value=0.0, valid=True), Score(value=1.0, valid=True))
TURN = (Message(role="user", content="hi"),)


# Looks at a part of the rows: folds of one study, and rows that are added.


def judged(counts, n, level, gap, margin):
    """Return (firm, broken, firm and wrong, needless) of two arms, from counts (R, 2)."""
    kinds, place = np.unique(counts[:, 0] * (n + 1) + counts[:, 1], return_inverse=True)
    wins, losses = kinds // (n + 1), kinds % (n + 1)
    low, high = (np.asarray(end) for end in discordant_bounds(wins, losses, n, level))
    mean = ((wins - losses) / n)[:, None, None] * np.array([[0, 1], [-1, 0]])
    lows = np.stack([0 * low, low, -high, 0 * low], 1).reshape(-1, 2, 2)
    highs = np.stack([0 * low, high, -low, 0 * low], 1).reshape(-1, 2, 2)
    rung, left, firm = ladder.climb_many(mean, lows, highs, margin)
    regret = np.where(rung == 0, max(gap, 0.0), max(-gap, 0.0))
    found = firm, regret > left + 1e-12, firm & (regret > margin + 1e-12), (rung == 1) & (gap <= 0)
    return [np.asarray(one)[place] for one in found]


def looked_at(rng, studies, rows, levels, gap, losses, margin):
    """Return shares of studies over all looks, up to a firm verdict or the last look."""
    live, used = np.ones(studies, bool), np.full(studies, float(rows[-1]))
    ever = [np.zeros(studies, bool) for _ in range(4)]
    counts, before = np.zeros((studies, 2), int), 0
    for n, level in zip(rows, levels, strict=True):
        p = (losses + gap, losses, 1 - 2 * losses - gap)
        counts = counts + rng.multinomial(n - before, p, studies)[:, :2]
        before = n
        found = judged(counts, n, level, gap, margin)
        for whole, one in zip(ever, found, strict=True):
            whole |= live & one
        used[live & found[0]] = n
        live &= ~found[0]
    names = ("firm", "broken", "firm and wrong", "needless")
    return {name: one.mean() for name, one in zip(names, ever, strict=True)} | {"rows": used.mean()}


def shape(n, k=1, **more):
    """Return the inputs of a comparison of n cases in k folds."""
    parts = np.array_split(np.arange(n), k)
    whole = [f"c{i}" for i in range(n)]
    made = tuple(
        Part(train=() if k == 1 else tuple(set(whole) - {f"c{i}" for i in part}), dev=(),
             test=tuple(f"c{i}" for i in part))
        for part in parts
    )  # fmt: skip
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "exact", "margin": MARGIN})
    return ComparisonInputs(task, "study", Split(k=k, parts=made), **more)


def folded(rng, studies, gap, losses, margin, n=400):
    """`run`, a look after each fold, `run --more` until firm: two arms that do not train."""
    rows, after = [n * (k + 1) // FOLDS for k in range(FOLDS)], []
    for done in range(1, FOLDS + 1):
        known = {"lora": tuple(range(1, done))}
        inputs = shape(n, FOLDS, folds={"lora": FOLDS}, looked={"lora": (1, *known["lora"])})
        arm = SimpleNamespace(spec=SimpleNamespace(name="lora"), folds_done=lambda split, d=done: d)
        after.append(inputs.error_multiple(arm) * inputs.tail)
    whole = bounds.level(ALPHA)
    for name, levels in (("before", [0.2 * whole] + [0.8 * whole] * 4), ("after", after)):
        found = looked_at(rng, studies, rows, levels, gap, losses, margin)
        yield from ((f"{name}: {key}", value) for key, value in found.items())


def added(rng, studies, gap, losses, margin=MARGIN, rows=(100, 160, 220, 280, 340, 400)):
    """Rows that are added look by look to the same answers, until the verdict is firm."""
    after, arm = [], SimpleNamespace(spec=SimpleNamespace(name="a"), folds_done=lambda split: 1)
    for at, n in enumerate(rows):
        earlier = tuple((look + 1, float(rows[look])) for look in range(at))
        inputs = shape(n, looks=at + 1, earlier=earlier)
        after.append(inputs.error_multiple(arm) * inputs.tail)
    before = [bounds.level(ALPHA, look) for look in range(1, len(rows) + 1)]
    for name, levels in (("before", before), ("after", after)):
        found = looked_at(rng, studies, rows, levels, gap, losses, margin)
        yield from ((f"{name}: {key}", value) for key, value in found.items())


# Two recorded arms, one look: every outcome.


def exactly(n, level, margin=MARGIN, differ=(0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)):
    """Return the largest chance, over shares that differ, to be firm and wrong, and of `left`.

    The true gap is just above the margin; every outcome is summed.
    """
    wins, losses = np.triu_indices(n + 1)
    losses = losses - wins
    gap = margin + 1e-6
    known = np.stack([wins, losses], 1)
    wrong = judged(known, n, level, gap, margin)
    firm = broken = 0.0
    for d in differ:
        weight = binomial_chance(wins + losses, n, d)
        weight = weight * binomial_chance(wins, wins + losses, (1 + gap / d) / 2)
        firm, broken = max(firm, weight[wrong[2]].sum()), max(broken, weight[wrong[1]].sum())
    return {"firm and wrong": firm, "broken": broken}


def rows_for_power(level, d=0.1, margin=MARGIN):
    """Return the fewest rows with which two equal arms are firm with chance .8."""
    for n in range(100, 400, 2):
        wins, losses = np.triu_indices(n + 1)
        losses = losses - wins
        weight = binomial_chance(wins + losses, n, d) * binomial_chance(wins, wins + losses, 0.5)
        likely = weight > 1e-9
        firm = judged(np.stack([wins, losses], 1)[likely], n, level, 0.0, margin)[0]
        if weight[likely][firm].sum() >= 0.8:
            return {"rows": n}
    return {"rows": 400}


# Whole comparisons, by the functions that ship.


@lru_cache(maxsize=4)
def known_cases(n):
    cases = tuple(Case(id=f"c{i}", messages=TURN, output="yes") for i in range(n))
    return cases, tuple(Answer(case=case.id, text="yes") for case in cases)


def study(scores, tools, inputs):
    """Return (runs, evidence) of recorded arms with 0/1 scores (n, A), simplest first in a tool."""
    cases, answers = known_cases(len(scores))
    runs = [
        Run.model_construct(
            spec=Spec(name=f"a{at}", arm=f"a{at}", tool=tool, simplicity=at), seed=0, fold=0,
            state="measured", because=None, answers=answers, learned=False, dev=None, recipe=None,
            scores=tuple(SCORES[int(right)] for right in scores[:, at]), notes=(), fingerprint={},
            longer=None, latency_ms=None, fit_seconds=0.0, trace=None, artefact=None,
            latency_concurrency=None,
        )
        for at, tool in enumerate(tools)
    ]  # fmt: skip
    return runs, compare(inputs, cases, runs)


def best_of_tool(runs, evidence, inputs):
    """Return the evidence in which the best mean stands for its tool, as in 40e84de3."""
    columns = {name: column(each) for name, each in by_spec(runs).items()}
    places = group_by_place(columns.values(), inputs.task)
    first = {rivals[0].spec.name for rivals in places.values()}
    arms = tuple(a.model_copy(update={"finalist": a.name in first}) for a in evidence.arms)
    return evidence.model_copy(
        update={"arms": arms, "pairs": tuple(PairTable(inputs, columns, {}).pairs(first))}
    )


def prompts(rng, studies, truth, n, rho=worlds.FAR):
    """What runs today and prompts of rising complexity: the best of the tool, and the simplest."""
    tools, inputs, policy = (
        ["keep"] + ["prompt"] * (len(truth) - 1),
        shape(n),
        Policy(margin=MARGIN),
    )
    seen = {name: [] for name in ("before", "after")}
    for _ in range(studies):
        scores = worlds.answers(rng, 1, n, truth, rho)[0]
        runs, evidence = study(scores, tools, inputs)
        seen["after"].append(decide(evidence, (), policy))
        seen["before"].append(decide(best_of_tool(runs, evidence, inputs), (), policy))
    q = np.array(truth)
    for name, verdicts in seen.items():
        named = np.array([int(v.arm[1:]) for v in verdicts])
        firm = np.array([v.status == "firm" for v in verdicts])
        left = np.array([v.left_on_table.points for v in verdicts])
        regret = q.max() - q[named]
        yield f"{name}: needless", np.mean([(q[:at] >= q[at]).any() for at in named])
        yield f"{name}: firm", firm.mean()
        yield f"{name}: broken", (regret > left + 1e-9).mean()
        yield f"{name}: firm and wrong", (firm & (regret > MARGIN + 1e-9)).mean()
        yield f"{name}: regret", regret.mean()


def shown(rng, studies, arms, look, n, d_rho=worlds.FAR):
    """How often the difference that `check` names is shown: two of the arms, the others equal."""
    before = power.minimum_detectable_effect(n, 0.2)
    at = bounds.level(ALPHA, look, arms)
    after = power.smallest_shown(lambda gain: power.exact_power(n, 0.2, gain, at))
    for name, gain in (("before", before), ("after", after)):
        low = []
        for start in range(0, studies, 250):
            size = min(250, studies - start)
            truth = (0.8 - gain / 2,) * (arms - 1) + (0.8 + gain / 2,)  # two differ on a fifth
            scores = worlds.answers(rng, size, n, truth, d_rho)
            found = worlds.pair_bounds(scores, bounds.level(ALPHA, look))
            low.append(-found[2][:, arms - 1, 0])
        yield f"{name}: points", 100 * gain
        yield f"{name}: shown", (np.concatenate(low) > 0).mean()


def shown_in_groups(rng, studies, groups, size):
    """The same for two arms whose rows stand or fall by the group."""
    numbers, level = np.repeat(np.arange(groups), size), bounds.level(ALPHA)
    before = power.minimum_detectable_effect(groups, 0.2)
    after = power.smallest_shown(lambda gain: power.grouped_power(groups, size, 0.2, gain, level))

    @cache
    def low(wins, losses):
        values = np.repeat([1.0, -1.0, 0.0], [wins, losses, groups - wins - losses])[numbers]
        return bounds.paired(values, level, groups=numbers).low

    for name, gain in (("before", before), ("after", after)):
        d = max(0.2, gain)
        drawn = rng.multinomial(groups, [(d + gain) / 2, (d - gain) / 2, 1 - d], studies)
        yield f"{name}: points", 100 * gain
        yield f"{name}: shown", np.mean([low(int(w), int(lost)) > 0 for w, lost, _ in drawn])


def forecast(rng, studies, arms, n, rho=worlds.FAR):
    """Open studies of several tools: the chance that `next` names for 4 n rows, and what came."""
    tools = ("keep", "classifier", "prompt", "schema", "tune")[:arms]
    policy, now = Policy(margin=MARGIN), shape(n)
    later = shape(4 * n, looks=2, earlier=((1, float(n)),))
    told, pair, came = [], [], []
    for _ in range(studies):
        q = np.clip(rng.normal(0.78, 0.06, arms), 0.02, 0.98)
        scores = worlds.answers(rng, 1, 4 * n, q, rho)[0]
        evidence = study(scores[:n], tools, now)[1]
        found = outlook(evidence, policy)
        if found is None:
            continue
        whole, most_open = found
        told.append(whole.chance(4 * n))
        pair.append(most_open.chance(4 * n))
        came.append(decide(study(scores, tools, later)[1], (), policy).status == "firm")
    yield "open studies", len(came)
    yield "before: forecast", np.mean(pair)
    yield "after: forecast", np.mean(told)
    yield "verdict firm", np.mean(came)


def outlook(evidence, policy):
    """Return (forecast of the verdict, that of the pair as 40e84de3 named it); None if firm."""
    from tuneworthy.verdict.contest import find_undecided_pair
    from tuneworthy.verdict.rule import apply_rule, ladder_scenarios

    scenarios = ladder_scenarios(evidence, policy)
    ruling = apply_rule(scenarios, policy)
    if ruling.status == "firm" or ruling.arm is None:
        return None
    found = find_undecided_pair(evidence, policy, scenarios.seen, ruling)
    if found is None:
        return None
    from tuneworthy.matrix.sizing import superiority_assurance

    return found.outlook, superiority_assurance(found.pair, MARGIN, found.outlook.level)


# Cross-fitting: arms that are really fitted, against a fixed rule.

LEARNERS = {
    "ridge": learners.ridge(1.0),
    "centroid": learners.centroid,
    "stump": learners.stump,
    "retraining noise": learners.jittered(0.3),
    "16 random shots": learners.handful(16),
}
STRONG = np.array([0.8, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0])
NEAR_RULE = np.array([1.0] + [0.2] * 7)
WEAK_RULE = np.array([0.5, -0.55, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0])


def crossed(rng, runs, n, fit, rival, partitions=3):
    """Return (differences by partition (P, R, n), their folds (P, n), true differences (R,))."""
    X, y = learners.draw(rng, runs, n, STRONG)
    rule = (np.tile(STRONG * rival, (runs, 1)), np.full(runs, 0.1))
    fixed = learners.right(rule, X, y).astype(float)
    truth = learners.accuracy(fit(X, y, rng), STRONG) - learners.accuracy(rule, STRONG)
    diffs, folds = np.zeros((partitions, runs, n)), np.zeros((partitions, n), int)
    for at in range(partitions):
        folds[at] = rng.permutation(np.arange(n) % FOLDS)
        for fold in range(FOLDS):
            test, train = folds[at] == fold, folds[at] != fold
            fitted = fit(X[:, train], y[:, train], rng)
            diffs[at][:, test] = learners.right(fitted, X[:, test], y[:, test])
    return diffs - fixed, folds, truth


def refitted(rng, studies, learner, n, rival):
    """Lower bound of a fitted arm: at 1.5 and at the factor that three partitions give.

    `rival` is what the fixed rule makes of each feature.
    """
    level, wide = bounds.level(ALPHA), bounds.width_factor(FOLDS, 1, FOLDS - 1)
    seen = {key: [] for key in ("before: low broken", "before: shown", "after: low broken",
                                "after: shown", "high broken", "factor")}  # fmt: skip
    for start in range(0, studies, 100):
        size = min(100, studies - start)
        diffs, folds, truth = crossed(rng, size, n, LEARNERS[learner], rival)
        within = diffs.var(0, ddof=1).mean(1)
        for run in range(size):
            values, ties = diffs[0, run], Folds(folds[0])
            factor = refitted_factor(within[run], values, wide)
            whole = bounds.paired(values, level, factor=wide, folds=ties)
            near = bounds.paired(values, level, factor=factor, folds=ties)
            seen["before: low broken"].append(whole.low > truth[run])
            seen["before: shown"].append(whole.low > 0)
            seen["after: low broken"].append(near.low > truth[run])
            seen["after: shown"].append(near.low > 0)
            seen["high broken"].append(whole.high < truth[run])
            seen["factor"].append(factor)
    yield "true difference", truth.mean()
    yield from ((key, np.mean(values)) for key, values in seen.items())


# What no bound allows for: wrong votes, and rows of one source that no group names.


def wrong_votes(rng, studies, differ, gain, wrong):
    """Yield how often settling rejects the truth: each vote taken as right, and as shipped."""
    for name, allow in (("before", False), ("after", True)):
        found = votes.settled(rng, studies, differ, gain, wrong, allow)
        yield from ((f"{name} {key}", found[key]) for key in ("rejected", "settled", "votes"))


def sources(rng, n, size, shared, losses=0.10, gap=0.051):
    """Return differences of n rows in file order; rows of one source share them by `shared`."""
    sides, odds = [1.0, -1.0, 0.0], [losses, losses - gap, 1 - 2 * losses + gap]
    rows = rng.choice(sides, n, p=odds)
    for start in range(0, n, size):
        if rng.random() < shared:
            rows[start : start + size] = rng.choice(sides, p=odds)
    return rows


def hidden_sources(rng, studies, n, size, shared):
    """Yield how often the bound of such rows breaks, they are warned of, and both."""
    found = np.zeros((studies, 2), bool)
    for at in range(studies):
        rows = sources(rng, n, size, shared)
        p = neighbours_alike(rows)
        found[at] = (
            bounds.paired(rows, bounds.level(ALPHA)).high < 0.051,
            p is not None and p <= 0.01,
        )
    broken, warned = found.T
    yield from (("before broken", broken.mean()), ("warned", warned.mean()))
    yield "after broken", (broken & ~warned).mean()


def cells():
    """Return {cell: (studies, function, arguments)} of every promise; 0 studies: every outcome."""
    found = {
        "run, look, --more | gap .051": (40_000, folded, (0.051, 0.10, 0.05)),
        "run, look, --more | equal, margin .02": (40_000, folded, (0.0, 0.10, 0.02)),
    }
    for gap in (0.10, 0.051, 0.0):
        found[f"rows added six times | gap {gap}"] = 40_000, added, (gap, 0.08)
    for level in (0.035, 0.025):
        for n in (40, 60, 100, 150, 250, 400, 700):
            found[f"two recorded arms, level {level} | n {n}"] = 0, exactly, (n, level)
        found[f"equal arms firm with chance .8 | level {level}"] = 0, rows_for_power, (level,)
    for name, truth in {
        "2 equal": (0.6, 0.8, 0.8),
        "6 equal": (0.6,) + (0.8,) * 6,
        "one of 2 +8": (0.7, 0.7, 0.78),
        "one of 4 +8": (0.7, 0.7, 0.7, 0.7, 0.78),
        "the simplest +4": (0.6, 0.84, 0.8, 0.8),
        "rising": (0.6, 0.78, 0.79, 0.8, 0.81),
    }.items():
        studies = 600 if len(truth) == 3 else 100  # each is a whole comparison
        found[f"prompts | {name} | n 250"] = studies, prompts, (truth, 250)
    for arms, look in ((2, 1), (5, 1), (13, 1), (2, 2), (2, 3), (2, 8)):
        studies = 5_000 if arms < 13 else 1_000
        found[f"check | {arms} arms, look {look} | n 250"] = studies, shown, (arms, look, 250)
    found["check | 2 arms, look 1 | n 60"] = 20_000, shown, (2, 1, 60)
    for groups, size in ((20, 15), (60, 5)):
        found[f"check | {groups} groups of {size}"] = 20_000, shown_in_groups, (groups, size)
    for arms in (2, 5):
        found[f"label 3 n more | {arms} arms | n 150"] = 200, forecast, (arms, 150)
    for learner in LEARNERS:
        for n in (100, 250):
            found[f"cross-fitting | {learner} | n {n}"] = 2_000, refitted, (learner, n, NEAR_RULE)
    for differ, gain, wrong in (
        (0.1, 0.051, 0.1), (0.2, 0.051, 0.1), (0.2, 0.06, 0.1), (0.2, 0.1, 0.1), (0.2, 0.0, 0.0),
    ):  # fmt: skip
        name = f"settle, {wrong:.0%} wrong votes | differ on {differ}, gain {gain}"
        found[name] = 20_000, wrong_votes, (differ, gain, wrong)
    for size, shared in ((1, 1.0), (5, 1.0), (5, 0.6), (5, 0.3), (10, 0.5)):
        found[f"sources of {size} rows, {shared} share | n 250"] = (
            2_000,
            hidden_sources,
            (250, size, shared),
        )
    found["cross-fitting, 10 behind | ridge | n 250"] = 2_000, refitted, ("ridge", 250, WEAK_RULE)
    return found
