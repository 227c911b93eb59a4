"""Find and run a command; turn errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tuneworthy.records import __version__
from tuneworthy.records.errors import STUDIES_ARE_KEPT, TaskError, TuneworthyError
from tuneworthy.records.escape import visible
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.redaction import without_keys
from tuneworthy.store.signals import StopRequested

TASK_FILE = "task.yaml"

_FAILED = {1, 2, 5, 6, 7, 130, 143}

_IN_CLONE = "in a clone of the repository: python -m bench.atlas"

_LEFT_WORDS = {
    "atlas": {
        "show": "tuneworthy atlas",
        **{word: f"{_IN_CLONE} {word}" for word in ("plan", "run", "add", "entry")},
    },
    "advice": {
        f"--{word}": f"{_IN_CLONE} advise --{word}"
        for word in ("tasks", "answers", "ask", "with-skill", "usd", "pay")
    },
}

"""Words of earlier versions that left, by command, with what replaces each."""

ORDER = (
    "demo",
    "tour",
    "init",
    "check",
    "plan",
    "run",
    "settle",
    "build",
    "export",
    "serve",
    "lab",
    "report",
    "compare",
    "gate",
    "mcp",
    "train_gate",
    "atlas",
    "advice",
    "models",
    "doctor",
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    _make_streams_usable()
    return _flush_stdout(_run_command(arguments, "--json" in arguments))


def _run_command(arguments: Sequence[str], as_json: bool) -> int:
    import typer

    try:
        command = typer.main.get_command(app())
        words = [_without_nul(word) for word in arguments] or ["--help"]
        _refuse_left(words)
        code = command.main(args=words, prog_name="tuneworthy", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except TuneworthyError as error:
        return _report_error(error, as_json, arguments)
    except StopRequested as stop:
        _print_to_stderr(str(stop))
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _print_to_stderr("stopped; `tuneworthy run` continues where it stopped")
        return 130
    except BrokenPipeError:
        return _reader_gone_code()
    except OSError as error:  # the disk, a name, or the reader of our output: not a bug
        if isinstance(error, ConnectionError | TimeoutError):  # from a model, and not wrapped
            return _report_bug(error)
        return _report_error(_system_error(error), as_json)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # click turns it into exit 1
            return _reader_gone_code()
        return stop.code if isinstance(stop.code, int) else 0
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # a usage error
            return _report_error(_usage_error(error), as_json)
        return _report_bug(error)


def _refuse_left(words: Sequence[str]) -> None:
    """Raise TaskError for a word of the command line that left with an earlier version."""
    left = _LEFT_WORDS.get(words[0], {})
    for word in words[1:]:
        if fix := left.get(word.partition("=")[0]):
            raise TaskError(f"`{words[0]} {word}` is no part of the package any more",
                            where="command line", got=word, fix=fix, kept="")  # fmt: skip


def _make_streams_usable() -> None:
    """Make every character printable and every byte readable, whatever streams are closed."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _without_nul(word: str) -> str:
    if "\0" in word:
        raise TaskError(
            "a NUL character stands in the command line",
            where="command line",
            got=word,
            fix="no path and no name holds one: remove it",
            kept="",
        )
    return word


def _flush_stdout(code: int) -> int:
    """Flush stdout and return the code: 7 if a verdict or an answer could not be written.

    Without the flush, a closed pipe or a full disk shows only after we have returned.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone_code()
    except OSError as error:
        _drop_output()
        _print_to_stderr(str(_system_error(error)))
        return code if code in _FAILED else 7
    return code


def app() -> Any:
    """Return the typer application; each command imports its own work only when called."""
    import typer

    cli = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Measure on your own rows whether fine-tuning is the right tool.\n\n"
        "An arm is one way to get answers: what runs today, a classifier, a prompt, a tuned model.",
    )

    @cli.callback(invoke_without_command=True)
    def main(
        version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    ) -> None:
        if version:
            print(f"tuneworthy {__version__}")
            raise typer.Exit()

    names = [name for name in ORDER if name in catalogue("cli")]
    names += [name for name in catalogue("cli") if name not in ORDER]
    for name in names:
        module = load("cli", name)
        command = getattr(module, "command", None) or getattr(module, name)
        if isinstance(command, typer.Typer):
            shown = _with_example(catalogue("cli")[name], name)
            cli.add_typer(command, name=name, help=shown, short_help=SHORT.get(name))
        else:
            epilog = getattr(module, "EPILOG", None)
            text = _help_text(command, name)
            word, short = name.replace("_", "-"), SHORT.get(name)
            cli.command(word, help=text, short_help=short, epilog=epilog)(command)
    return cli


def _help_text(command: Any, name: str) -> str:
    text = inspect.cleandoc(command.__doc__ or catalogue("cli")[name])
    return _with_example(text, name)


def _usage_error(error: Any) -> TaskError:
    return TaskError(error.format_message(), where="command line", fix="tuneworthy --help", kept="")


def _report_error(error: TuneworthyError, as_json: bool, words: Sequence[str] = ()) -> int:
    named = next((word for word in words if word.endswith((".yaml", ".yml"))), "")
    if named and Path(named).name != TASK_FILE:  # the file that was given, not the usual one
        error.where = error.where.replace(TASK_FILE, visible(named))
    if as_json:
        with contextlib.suppress(OSError):
            print(json.dumps(error.plain()))
    if error.kept == STUDIES_ARE_KEPT and not any(map(_has_store, (".", *words))):
        error.kept = ""  # there is no store yet: nothing was kept, and nothing can continue
    _print_to_stderr(str(error))
    return error.exit_code


def _has_store(word: str) -> bool:
    """Return whether a word of the command line is a path in a folder with a store or results."""
    path = Path(word)
    with contextlib.suppress(OSError, ValueError):
        folder = path if path.is_dir() else path.parent
        return any((folder / name).exists() for name in (".tuneworthy", "results"))
    return False


def _system_error(error: OSError) -> TuneworthyError:
    from tuneworthy.store.trouble import from_system

    return from_system(error, str(error.filename or "the output of this command"))


def _print_to_stderr(text: str) -> None:
    """Print a text on stderr; ignore a failure of that."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _drop_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_gone_code() -> int:
    """Return 141, as SIGPIPE does: our output's reader is gone, and 0 would claim a verdict."""
    _drop_output()
    return 141


def _report_bug(error: Exception) -> int:
    """Report a bug of ours; the traceback goes to a private file, never to the terminal."""
    text = without_keys("".join(traceback.format_exception(error)))
    try:
        handle, path = tempfile.mkstemp(prefix="tuneworthy-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as out:
            out.write(f"tuneworthy {__version__}, Python {sys.version}\n{text}")
    except OSError as failed:
        path = f"nowhere: the trace-back could not be written, {failed.strerror}"
    _print_to_stderr(
        f"BUG: {type(error).__name__} in tuneworthy {__version__}\n"
        f"  where  {path} (the trace-back; it may quote your data)\n"
        "  fix    please open an issue with that file's content\n"
        f"  kept   {STUDIES_ARE_KEPT}"
    )
    return 1


_STOPPED_MESSAGE = b"stopped; `tuneworthy run` continues where it stopped\n"


def end_on_interrupt() -> None:
    """Make Ctrl-C end the process at once (during start-up and exit)."""
    _install_handler(_exit_at_once)


def raise_on_interrupt() -> None:
    """Make Ctrl-C raise KeyboardInterrupt where that can be caught."""
    _install_handler(_raise_or_exit)


def _install_handler(handler: signal._HANDLER) -> None:
    try:
        if (
            signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        ):  # ignored: `nohup`, background job
            signal.signal(signal.SIGINT, handler)
    except KeyboardInterrupt:  # Ctrl-C just before the handler is there
        _exit_at_once(signal.SIGINT, None)


def _exit_at_once(_number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, _STOPPED_MESSAGE)
    finally:
        os._exit(130)


def _raise_or_exit(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        code = at.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            _exit_at_once(number, frame)
        at = at.f_back
    raise KeyboardInterrupt


CLAUSES, TICKETS = "demo/recorded/clause_type", "demo/recorded/support_tickets"

EXAMPLES = {
    "demo": "tuneworthy demo --recorded",
    "tour": "tuneworthy tour",
    "init": f"tuneworthy init {TICKETS}/test.jsonl -o demo/tickets.yaml",
    "check": f"tuneworthy check {CLAUSES}",
    "plan": f"tuneworthy plan {CLAUSES}",
    "run": f"tuneworthy run {CLAUSES}",
    "settle": "tuneworthy settle demo/recorded/open_clauses",
    "build": f"tuneworthy build {CLAUSES}",
    "export": f"tuneworthy export openai {CLAUSES}",
    "serve": f"tuneworthy serve {CLAUSES}/build",
    "lab": "tuneworthy lab --no-browser",
    "report": f"tuneworthy report {CLAUSES}",
    "compare": f"tuneworthy compare {TICKETS}/rules_first.jsonl {TICKETS}/rules_second.jsonl"
    f" --gold {TICKETS}/test.jsonl",
    "gate": f"tuneworthy gate {TICKETS}/rules_first.jsonl {TICKETS}/rules_second.jsonl"
    f" --gold {TICKETS}/test.jsonl",
    "mcp": "tuneworthy mcp demo/recorded",
    "train_gate": f"tuneworthy train-gate --task {CLAUSES}",
    "atlas": "tuneworthy atlas",
    "advice": "tuneworthy advice",
    "models": "tuneworthy models",
    "doctor": "tuneworthy doctor",
}

SHORT = {  # at most 64 characters: longer ones are cut at 80 columns
    "demo": "Run two shipped tasks in minutes: one against tuning, one for.",
    "tour": "Answer five questions, get a task.yaml.",
    "init": "Look at the rows and write a commented task.yaml.",
    "check": "Check the rows, and how small a gain they can show.",
    "plan": "Show the arms, requests, minutes and money of a run.",
    "run": "Run the study or continue it, and give the verdict.",
    "settle": "Settle a provisional verdict: judge pairs of answers, blind.",
    "build": "Export the arm that the verdict names, and check each export.",
    "export": "Hand prompt, rows or verdict to other tools.",
    "serve": "Serve builds behind an OpenAI-compatible endpoint.",
    "lab": "Open the lab: break real training runs, see why, repair them.",
    "report": "Write or open the report of the last study.",
    "compare": "Compare two systems, or two studies, on the same cases.",
    "gate": "Say whether a change is safe to merge, for CI.",
    "train_gate": "Let a training start only where the verdict says it pays.",
    "mcp": "Serve the commands to coding agents (MCP).",
    "atlas": "Show which strategy wins on which type of task.",
    "advice": "Show who predicts the winning tool: rules, models, people.",
    "models": "List, fetch and verify models.",
    "doctor": "Show what this machine can do, and what is installed.",
}


def _with_example(text: str, name: str) -> str:
    """Return a command's help with its example; unchanged if it has one, or none is known."""
    if name not in EXAMPLES or "Example" in text:
        return text
    when = "" if "demo/" not in EXAMPLES[name] else ", after `tuneworthy demo --recorded`"
    when += f" and `{EXAMPLES['build']}`" if name == "serve" else ""
    return f"{text}\n\nExample{when}: {EXAMPLES[name]}"
