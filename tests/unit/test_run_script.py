"""`./run bench`: one that fails is told at the end and stops no other; `./run docs`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]


def clone(folder):
    """Return a folder that looks like an installed clone, with three small benchmarks."""
    shutil.copy(ROOT / "run", folder / "run")
    (folder / "pyproject.toml").touch()
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("train-dev", "cpu-engine"):
        (folder / ".venv" / f".installed-{name}").touch()
    os.utime(folder / "pyproject.toml", (1, 1))
    for name, text in (("python", f'exec "{sys.executable}" "$@"'), ("tuneworthy", "exit 0")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    (folder / "bench").mkdir()
    for name, text in (
        ("bad", "print('ran bad'); raise SystemExit(3)"),
        ("good", "print('ran good')"),
        ("other", "print('ran other')"),
        ("_bench", "print('the table')"),
    ):
        (folder / "bench" / f"{name}.py").write_text(text)
    return folder


def bench(folder, *names):
    done = subprocess.run(
        ["sh", "run", "bench", *names], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout.split("\n")[:-1], done.stderr


def test_a_benchmark_that_fails_is_told_and_the_others_run(tmp_path):
    code, out, told = bench(clone(tmp_path))
    assert out == ["ran bad", "ran good", "ran other", "the table"]
    assert code == 1
    assert "failed: bad" in told


def test_only_the_named_benchmarks_run(tmp_path):
    assert bench(clone(tmp_path), "other", "good")[:2] == (
        0,
        ["ran other", "ran good", "the table"],
    )


def test_an_unknown_benchmark_fails(tmp_path):
    code, out, told = bench(clone(tmp_path), "none")
    assert (code, out) == (1, ["the table"])
    assert "failed: none" in told


def test_the_full_tier_runs_with_the_engine_off(tmp_path):
    folder = clone(tmp_path)
    (folder / ".venv" / ".installed-train-build-serve-dev-docs").touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "engine $TUNEWORTHY_CPU_ENGINE: $*"\n')
    done = subprocess.run(
        ["sh", "run", "test", "--engine-off"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("engine 0: -m pytest")
    assert "-m full and not long" in done.stdout


@pytest.mark.parametrize("bf16", [True, False])
def test_a_failing_tier_hides_no_other_and_the_last_lines_name_skipped_and_failed_tests(
    tmp_path, bf16
):
    folder = clone(tmp_path)
    (folder / ".venv" / ".installed-train-build-serve-dev-docs").touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text(
        "#!/bin/sh\n"
        'echo "$@"\n'
        'echo "tests/a.py: no server here" >>"$TUNEWORTHY_TOLD/skipped"\n'
        'case "$*" in *--ignore=*) echo "  b.py::test_c" >>"$TUNEWORTHY_TOLD/failed"; exit 1;; '
        "esac\n"
    )
    (folder / ".venv" / "bin" / "tuneworthy").write_text('#!/bin/sh\necho "$*"\n')
    tools = {"PATH": f"{folder / 'tools'}:{os.environ['PATH']}"}
    (folder / "tools").mkdir()
    for name, code in (("chromium", 0), ("grep", 0 if bf16 else 1)):  # grep reads the flags
        (folder / "tools" / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (folder / "tools" / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "run", "test"], cwd=folder, capture_output=True, text=True, env=os.environ | tools
    )
    fetched, tiers = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    assert fetched == ["models get smollm2-135m", "models get minilm"]
    assert [line.split(" -m ")[1].split(" --")[0] for line in tiers] == [
        "not full and not long",
        "not full and not long",
        "full and not long",
        *(["not long packages/tuneworthy-cpu/tests"] if bf16 else []),
    ]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-5:] == [
        f"run: skipped: {len(tiers)} tests; how many, where, why:",
        f"      {len(tiers)} tests/a.py: no server here",
        "run: failed:",
        "  quick tier, the rest: counting would make them half as slow again",
        "  b.py::test_c",
    ]


@pytest.mark.parametrize("name", ["docs", "site"])
def test_site_writes_the_pages_and_then_builds_the_site(tmp_path, name):
    folder = clone(tmp_path)
    (folder / ".venv" / ".installed-docs").touch()
    site = folder / ".venv" / "bin" / "mkdocs"
    site.write_text('#!/bin/sh\necho "mkdocs $*"\n')
    site.chmod(0o755)
    (folder / "tools").mkdir()
    (folder / "tools" / "reference_pages.py").write_text("print('pages')")
    done = subprocess.run(["sh", "run", name], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "pages\nmkdocs build --clean\n")


@pytest.mark.parametrize(("verb", "fetched"), [("advise", False), ("run", True), ("plan", True)])
def test_atlas_fetches_models_only_where_they_are_asked(tmp_path, verb, fetched):
    folder = clone(tmp_path)
    (folder / ".venv" / ".installed-train").touch()
    (folder / ".venv" / "bin" / "tuneworthy").write_text('#!/bin/sh\necho "$*"\n')
    (folder / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$*"\n')
    done = subprocess.run(
        ["sh", "run", "atlas", verb, "--json"], cwd=folder, capture_output=True, text=True
    )
    models = ["models get smollm2-135m", "models get minilm"] if fetched else []
    assert done.stdout.splitlines() == [*models, f"-m bench.atlas {verb} --json"]


def test_the_start_page_leads_to_the_lab_which_the_site_has(monkeypatch, tmp_path):
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from site_hooks import on_post_build, start_page

    assert 'href="lab/index.html"' in start_page()
    on_post_build(SimpleNamespace(site_dir=str(tmp_path)))
    assert "It never stops talking" in (tmp_path / "lab" / "index.html").read_text("utf-8")


def test_the_table_has_a_line_of_every_result_that_is_kept():
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "_bench.py"], capture_output=True, text=True, check=True
    )
    kept = {path.stem for path in (ROOT / "bench" / "results").glob("*.json")}
    listed = {"planted_real", "real_sets"}  # cases, and no figure of them all
    assert {line.split()[0] for line in done.stdout.splitlines()} == kept - listed
