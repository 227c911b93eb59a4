"""Files of the user's are written through one door; other modules write into folders of our own."""

import ast
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"
DOOR = "records/own_files.py"
# What these write lies in a folder of our own: a store, a cache, a build, an export, a process.
OWN_FOLDERS = ("agents/", "arms/", "handover/forms/", "handover/formats/",
               "handover/artefact_folder.py", "handover/system.py",
               "measure/executors/", "lab/", "store/", "models/", "sandbox/",
               "handover/serve/served_versions.py", "handover/building.py")  # fmt: skip
OTHERS = {
    "cli/_frame.py": "the trace of an error of ours, in a new temporary file; /dev/null",
    "cli/_grading.py": "appends to a file that was read as grades before",
    "rows/bad_rows.py": ".tuneworthy/bad_rows.jsonl",
    "rows/draft.py": "a temporary folder",
    "rows/import_files.py": "publishes drafts of the door",
    "rows/run_folder.py": "opens for reading",
    "records/record.py": "opens for reading",
    "handover/serve/answer_log.py": "appends to a log that the door has checked",
}


def writes(tree):
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        owner = getattr(getattr(call.func, "value", None), "id", "")
        modes = [{*one.value} for one in call.args if isinstance(getattr(one, "value", 0), str)]
        if name in {"write_text", "write_bytes", "copyfile", "copytree"}:
            yield name
        elif owner == "os" and name in {"replace", "rename", "open", "truncate"}:
            yield f"os.{name}"
        elif name == "open" and any(one & {*"wax"} and one <= {*"wabx+"} for one in modes):
            yield "open"


def test_one_door():
    found = {
        name
        for path in SRC.rglob("*.py")
        if not (name := path.relative_to(SRC).as_posix()).startswith((DOOR, *OWN_FOLDERS))
        and any(writes(ast.parse(path.read_text("utf-8"))))
    }
    assert found == OTHERS.keys()
