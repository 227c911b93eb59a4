"""The forms in which a deployed arm is exported, one module a form.

A module defines

    FORM     its name; it writes into the folder of this name inside the artefact
    NEEDED   whether an artefact that it applies to can't be opened without it
    applies(artefact) -> str           "" if the form applies, else why it does not
    write(parts, draft) -> notes       writes its files below `draft`
    cannot(parts) -> str               (optional) why it can't be written here, with the command
                                       that writes it; "" if it can
    size(parts) -> int                 (optional) estimated bytes of its files, for `--dry-run`
    open_for_parity(parts, draft)      (optional) yields (name, Engine) of each written file, opened
                                       one at a time in the engine that serves it; or (name, reason)
    exact(parts) -> bool               (optional) whether its weights are not rounded, so that log-
                                       probabilities must equal those of the evaluated model
"""
