"""usage: command_study.py COMMANDS: read {"folder", "spec"} lines; run the commands, a child each.

COMMANDS is a JSON list of command lines (lists of words), run in order until one fails. `spec` is
that of `fail_call.c`, which this process was started with. Each answer is a line {"code",
"stderr"}; the call that was struck is in the folder's file `struck`.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults import killing

from tuneworthy.cli import _frame

CALL = "TW_CALL"
COMMANDS = json.loads(sys.argv[1])


@killing.forked
def commands(folder: Path) -> None:
    """Run the commands in `folder`; end with the code of the last one."""
    os.dup2(2, 1)  # stdout is the parent's answer
    sys.stdin = open(os.devnull)  # noqa: SIM115  (the parent's lines are not for it)
    os.chdir(folder)
    spec = os.environ.pop(CALL, "")
    os.environ["TW_CALL_UNDER"], os.environ["TW_CALL_TOLD"] = str(folder), f"{folder}-struck"
    if (synced := Path(f"{folder}-synced")).exists():
        os.environ["TW_CALL_SYNCED"] = str(synced)
    if spec:
        os.environ[CALL] = spec
    code = 0
    for words in COMMANDS:
        code = _frame.run(words)
        if code not in (0, 3):
            break
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    import scipy.stats  # noqa: F401  (once, and not in every child)
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401

    import tuneworthy.flows.study
    import tuneworthy.handover.building
    import tuneworthy.report  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        ended = killing.run(commands, Path(asked["folder"]), asked["spec"], variable=CALL)
        print(json.dumps(asdict(ended)), flush=True)
