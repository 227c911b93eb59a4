"""Write a generated task as a folder: `python -m tuneworthy.suite NAME FOLDER [SEED]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.plugins import catalogue
from tuneworthy.suite._write import SEED, write


def main(args: list[str]) -> int:
    """Write one task, or print the usage; return the exit code."""
    if len(args) not in (2, 3) or not all(map(str.isdigit, args[2:])):
        print(__doc__, file=sys.stderr)
        for name, line in catalogue("suite").items():
            print(f"  {name:<16} {line}", file=sys.stderr)
        return 2
    try:
        print(write(args[0], Path(args[1]), int(args[2]) if len(args) == 3 else SEED))
    except TuneworthyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
