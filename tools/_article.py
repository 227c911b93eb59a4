"""The page that walks through the article: what it says, what was measured, how to measure it."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.lab.claim_results import Claim, ClaimResult, Figure, claim_results, waiting_claims

HEAD = """# The article, step by step

*The article* is *fine-tuning fundamentals* in S. Kriplani's
[genai-systems-lab](https://github.com/SidharthKriplani/genai-systems-lab). Each step below holds
what it asks or says, in our words; the claims that people make on it, and what was measured about
them; the command that measures it on your rows.

Whether a claim holds follows from its figures by [a rule](claims.md). All figures are of one small
model, SmolLM2-135M-Instruct, and of classifiers (E6, E11); brackets hold 95 % intervals. A larger
model may do otherwise: that is why the last line of each step is a command.
"""
RUN = "`tuneworthy run`"
NO_CLAIM = "It differs from task to task: [how often the causes are right](causes.md)."


@dataclass(frozen=True)
class Step:
    """A step of the article: what it says, the claims (E-numbers) on it, how to measure it.

    `page` is the page that explains the question, below docs/why/; "" if there is none.
    """

    says: str
    claims: tuple[int, ...]
    measure: str
    page: str = ""


PARTS: dict[str, tuple[Step, ...]] = {
    "Three questions first": (
        Step("What exactly does the base model get wrong?", (),
             f"{RUN}: each remedy is tried on the failed rows beside a placebo", "causes"),
        Step("Would more in the context repair it?", (2, 7),
             f"{RUN}: `few_shot`, `nearest_shots`, `rag`, and `oracle` with the right passage",
             "prompt_exhausted"),
        Step("How would you know that it worked?", (6,),
             "`tuneworthy check`: the smallest gain that your rows can show", "evaluation"),
    ),
    "Three uses": (
        Step("Style and format: JSON, a voice, a fixed report", (1, 18, 9),
             f"{RUN} with `constrained` and `lora`; metrics `fields_f1`, `style_match`, `outline`",
             "simpler_tool"),
        Step("A narrow domain: extraction, clauses, reports", (11,),
             f"{RUN} with `tfidf`, `embedding_head` and `lora`", "simpler_tool"),
        Step("Distillation: a small model learns a large one's answers", (12,),
             "`teacher:` in task.yaml, then `tuneworthy run` with `distil`", "distillation"),
    ),
    "Five situations in which it is the wrong tool": (
        Step("The evaluation is weak.", (6,), "`tuneworthy check`", "evaluation"),
        Step("There are fewer than about 500 good examples.", (5, 9),
             f"{RUN}: the tuned model's own curve, or `tuneworthy run --more 30m`", "enough_data"),
        Step("Knowledge changes often.", (7, 17),
             "`data.docs` and `knowledge` in task.yaml: `rag` beside `rag_lora`",
             "knowledge_still"),
        Step("The aim is fewer made-up facts.", (8, 3, 4),
             f"{RUN}: *behaviour or facts*, from what a right passage repairs",
             "behaviour_not_facts"),
        Step("Prompting is not exhausted.", (2,), f"{RUN} with `optimised_prompt`",
             "prompt_exhausted"),
    ),
    "What tuning changes, and what it costs": (
        Step("It is pulled towards the examples, and may forget the rest.", (14, 13, 16),
             f"{RUN}: *changes* and *harm* of each trained arm", "harm"),
        Step("Rank and data decide how much it can take in.", (15, 4),
             "`arms: [{lora: {rank: 4}}, {lora: {rank: 32}}]` in task.yaml", "enough_data"),
    ),
}  # fmt: skip


def page() -> str:
    """Return the page: one section a part of the article, each step with its claims."""
    known: dict[int, Claim] = {each.number: each for each in (*waiting_claims(), *claim_results())}
    lines = [HEAD]
    for title, steps in PARTS.items():
        lines += [f"## {title}", ""]
        for step in steps:
            lines += [f"### {step.says}", ""]
            lines += [f"- {_seen(known[number])}" for number in step.claims]
            lines += [] if step.claims else [f"- {NO_CLAIM}"]
            why = f" ([why](../why/{step.page}.md))" if step.page else ""
            lines += [f"- **On your rows**: {step.measure}{why}.", ""]
    lines += ["## The checklist", ""]
    lines += [
        "It asks five questions: [enough data](../why/enough_data.md),"
        " [evaluation](../why/evaluation.md), [prompt exhausted](../why/prompt_exhausted.md),"
        " [behaviour, not facts](../why/behaviour_not_facts.md) and"
        " [knowledge still](../why/knowledge_still.md). `run` answers them with a number each;"
        " [as an adviser](claims.md#who-predicts-the-measured-winner) the checklist was right"
        " on few of the measured tasks.",
        "",
    ]
    return "\n".join(lines)


def _seen(claim: Claim) -> str:
    said = f"“{claim.claim}”"
    if not isinstance(claim, ClaimResult):
        return f"{said} **Not known** (E{claim.number}): this was not run."
    figures = {figure.name: figure for figure in claim.figures}
    deciding = "; ".join(_figure(figures[each.figure]) for each in claim.holds_if)
    caveat = f" {claim.caveat}" if claim.caveat else ""
    standing = claim.standing.capitalize()
    return f"{said} **{standing}** (E{claim.number}). {claim.found} Measured: {deciding}.{caveat}"


def _figure(figure: Figure) -> str:
    mean, low, high = (
        f"{value:.2f}".replace("-", "−") for value in (figure.mean, figure.low, figure.high)
    )
    return f"{figure.name} {mean} ({low} to {high}, n {figure.n})"
