"""I139, P13: a disk that is really full (a small tmpfs), at any moment of a run of writes."""

import shutil
import subprocess
import sys

import pytest

CODE = """
import sys, os
from pathlib import Path
from tuneworthy.records.errors import StoreError
from tuneworthy.store.blobs import is_whole, atomic_folder
from tuneworthy.store.store import open_ledger
folder, said, stored = Path(sys.argv[1]), lambda text: None, []
try:
    with open_ledger(folder, say=said) as ledger:
        for number in range(1000):
            ledger.put(f"k{number}", "x", {"text": "x" * 3000})
            stored.append(number)
except StoreError as error:
    assert error.exit_code == 7 and "full" in error.what, error
else:
    sys.exit("the disk was never full")
try:
    with (
        open_ledger(folder, say=said) as ledger,
        atomic_folder(ledger.folder("a") / "adapter") as part,
    ):
        (part / "weights").write_bytes(bytes(10**7))
except StoreError as error:
    assert error.exit_code == 7 and "full" in error.what, error
else:
    sys.exit("the disk was not full for the checkpoint")
os.unlink(folder / "ballast")
with open_ledger(folder, say=said) as ledger:
    assert ledger.verify() >= len(stored) > 5, (ledger.verify(), len(stored))
    assert all(ledger.get(f"k{number}") for number in stored)
    ledger.put("after", "x", {})
    assert not is_whole(ledger.folder("a") / "adapter")
print("lost nothing of", len(stored))
"""


@pytest.mark.full
@pytest.mark.parametrize("size", ["700k", "900k", "1500k"])
def test_i139_a_really_full_disk_loses_nothing_that_was_stored(tmp_path, size):
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    words = f"mount -t tmpfs -o size={size} tmpfs {tmp_path} && "
    words += f"head -c 200000 /dev/zero > {tmp_path}/ballast && "
    words += f'"{sys.executable}" - {tmp_path}'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", words], input=CODE, capture_output=True, text=True
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no small disk can be made here")
    assert done.returncode == 0, done.stderr
    assert "lost nothing" in done.stdout
