"""Generated tasks with a known output type and cause, one a file."""

from tuneworthy.suite._made import GeneratedTask
from tuneworthy.suite._recorded import RECORDED_FOLDER, STUDIES, write_recorded
from tuneworthy.suite._write import write

__all__ = ["RECORDED_FOLDER", "STUDIES", "GeneratedTask", "write", "write_recorded"]
