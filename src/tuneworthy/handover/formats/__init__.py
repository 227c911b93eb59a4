"""The formats of other tools for a prompt, rows or a verdict, one module a format.

A module defines

    NEEDS                            what it is made from: "prompt" (a `BuiltPrompt` of `_sources`),
                                     "rows" (`TrainingChats`) or "verdict" (the study's `Results`)
    write(source, folder) -> Made    returns the texts of its files, which `export` writes; only a
                                     tracker writes itself, by its own library, below `folder`
"""
