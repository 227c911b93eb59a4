"""The atlas: which strategy wins on which type of task at how many rows, as recorded answers.

A cell is an ordinary study of a generated task. An entry holds its figures with every answer, so
that anybody can score them again.
"""
