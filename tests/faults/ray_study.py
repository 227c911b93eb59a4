"""usage: ray_study.py ADDRESS [--zygote]: run the study of this folder there; leave verdict.json.

With --zygote: read {"folder", "spec"} lines and run each study in a forked child, as lora_study
does: all is imported once, and each child connects to the cluster of its own.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import studies
from tests.faults import killing

from tuneworthy.flows.study import run
from tuneworthy.records.run import RunOptions


def study() -> None:
    """Run the study of this folder; leave verdict.json without times."""
    done = run(Path("task.yaml"), RunOptions(brief=True, on=sys.argv[1]))
    Path("verdict.json").write_bytes(studies.timeless((done.folder / "verdict.json").read_bytes()))


@killing.forked
def there(folder: Path) -> None:
    """Run the study in `folder`."""
    os.dup2(2, 1)  # stdout is the parent's answer
    os.chdir(folder)
    study()


if __name__ == "__main__":
    if "--zygote" not in sys.argv:
        study()
        sys.exit()
    import ray  # noqa: F401  (not connected here: a fork would share the connection)

    for line in sys.stdin:
        asked = json.loads(line)
        ended = killing.run(there, Path(asked["folder"]), asked["spec"])
        print(json.dumps(asdict(ended)), flush=True)
