"""Exported forms of a deployed arm, one a file: what it applies to, how it is written and asked.

A module defines

    FORM     its name; it writes into the folder of this name inside the artefact
    NEEDED   whether an artefact that it applies to can't be opened without it
    applies(artefact) -> str           "" if the form applies, else why it does not
    write(parts, draft) -> notes       writes its files below `draft`
    cannot(parts) -> str               (optional) why it can't be written here, and what can, or ""
    size(parts) -> int                 (optional) about the bytes it will take, for `--dry-run`
    open_for_parity(parts, draft)      (optional) yields (name, Engine | why not) of each written
                                       file, opened one after the other in what will serve it
    exact(parts) -> bool               (optional) its weights are not rounded, so log-probabilities
                                       must be those of the evaluated model
"""
