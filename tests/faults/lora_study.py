"""usage: lora_study.py: read {"folder", "spec"} lines; run each study in a forked child.

The training stack is imported once and nothing is computed before the fork, so a kill costs a
second and not the ten of a fresh process. Each answer is a line {"code", "stderr"}.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import studies
from tests.faults import killing

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.models.train import checkpoint

checkpoint.LEAST_SECONDS, checkpoint.TIME_SHARE = (
    0.0,
    float("inf"),
)  # a checkpoint before every step


@killing.forked
def study(folder: Path) -> None:
    """Run the study in `folder`; leave verdict.json without times."""
    os.dup2(2, 1)  # stdout is the parent's answer
    os.chdir(folder)
    done = run(Path("task.yaml"), RunOptions(brief=True))
    Path("verdict.json").write_bytes(studies.timeless((done.folder / "verdict.json").read_bytes()))


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        ended = killing.run(study, Path(asked["folder"]), asked["spec"])
        print(json.dumps(asdict(ended)), flush=True)
