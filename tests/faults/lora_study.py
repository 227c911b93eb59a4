"""usage: lora_study.py: read {"folder", "spec"} lines; run each study in a forked child.

The training stack is imported once and nothing is computed before the fork, so a kill costs a
second and not the ten of a fresh process. Each answer is a line {"code", "stderr"}.
"""

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import studies

import tuneworthy.models.hf
import tuneworthy.training.lora  # noqa: F401
from tuneworthy.ledger.failpoint import VARIABLE
from tuneworthy.study import run


def child(folder: Path, spec: str) -> None:
    """Run the study in `folder` with a failpoint set or none; leave verdict.json without times."""
    os.chdir(folder)
    os.environ.pop(VARIABLE, None)
    if spec:
        os.environ[VARIABLE] = spec
    study = run(Path("task.yaml"))
    Path("verdict.json").write_bytes(studies.timeless((study.folder / "verdict.json").read_bytes()))


def forked(folder: Path, spec: str) -> dict:
    """Return how a child that runs the study ended."""
    with tempfile.TemporaryFile() as errors:
        number = os.fork()
        if number == 0:
            os.dup2(errors.fileno(), 2)
            os.dup2(errors.fileno(), 1)
            code = 1
            try:
                child(folder, spec)
                code = 0
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(code)
        status = os.waitpid(number, 0)[1]
        errors.seek(0)
        told = errors.read().decode("utf-8", "replace")
    return {"code": os.waitstatus_to_exitcode(status), "stderr": told}


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(forked(Path(asked["folder"]), asked["spec"])), flush=True)
