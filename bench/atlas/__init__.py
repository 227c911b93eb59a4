"""The atlas: which strategy wins on which type of task at how many rows, as recorded answers.

A cell is an ordinary study of a generated task. An entry holds a study's figures and every answer,
so anybody can score the answers again.
"""
