"""Explanations of the keys of a case's configuration, which reveal no cause."""

from __future__ import annotations

KEY_TEXTS: dict[str, str] = {
    # training
    "rows": "how many training rows are used",
    "epochs": "how often training reads every row",
    "batch": "rows that one step reads",
    "rate": "learning rate: how far one step moves the weights",
    "method": "lora trains a small adapter, full all weights",
    "rank": "size of the adapter: more numbers to learn with",
    "targets": "the matrices of the model that get an adapter",
    "loss": "the tokens that training learns from",
    "replay": "part of the training rows that is general text, or known facts",
    "pad_token": "the token that fills up short rows; the loss ignores it",
    "max_length": "tokens of a row at most; what is longer is cut",
    "packing": "whether several rows share one sequence",
    # where rows come from
    "split": "how test rows were set apart from training rows",
    "labels": "who has to agree on a label",
    "exports": "the exports that the answers come from",
    "order": "the order of the rows, or of the passages in the prompt",
    "refusals": "part of the training rows whose answer is a refusal",
    "rows_of": "the year of the rules that the rows were written from",
    "verify": "the check that a written answer passes before it is used",
    # how the model is asked
    "shots": "solved examples in the prompt",
    "passages": "whether the prompt holds the passage that the question is about",
    "k": "how many passages the search returns",
    "index": "the versions of the rules that are searched",
    "newest_first": "whether the newest version of a found rule is read",
    "judge": "how the judge is shown the two answers",
    "verdicts": "the question that the judge answers",
    "serve.adapter": "whether the server loads the trained adapter",
    "serve.merge": "how the adapter is joined with the weights",
    "serve.template": "how the server writes the chat around a message",
    "serve.schema": "whether a grammar keeps the answer in its form",
    "serve.temperature": "0 takes the likeliest token; more draws at random",
    "serve.top_p": "tokens to draw from: the likeliest that reach this share",
}
