"""The frame around every command: find it, run it, turn errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Any

from tuneworthy import __version__
from tuneworthy.core.errors import TaskError, TuneworthyError
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.ledger.signals import Stopped

ORDER = ("demo", "init", "check", "plan", "run", "settle", "report", "compare", "models", "doctor")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    import typer

    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    as_json = "--json" in arguments
    command = typer.main.get_command(app())
    try:
        asked = list(arguments) or ["--help"]
        code = command.main(args=asked, prog_name="tuneworthy", standalone_mode=False)
        sys.stdout.flush()  # else a reader that is gone is found out after we have returned
        return code if isinstance(code, int) else 0
    except TuneworthyError as error:
        return _failed(error, as_json)
    except Stopped as stop:
        print(str(stop), file=sys.stderr)
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("stopped; `tuneworthy run` continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _unread()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # click turns it into exit 1
            return _unread()
        return stop.code if isinstance(stop.code, int) else 0
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # a usage error
            return _failed(_usage(error), as_json)
        return _bug(error)


def app() -> Any:
    """Return the typer application; only the command that is called is imported for its work."""
    import typer

    cli = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Measure on your own rows whether fine-tuning is the right tool.",
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
            cli.add_typer(command, name=name, help=catalogue("cli")[name])
        else:
            cli.command(name, help=_help(command, name))(command)
    return cli


def _help(command: Any, name: str) -> str:
    return (command.__doc__ or catalogue("cli")[name]).strip()


def _usage(error: Any) -> TaskError:
    return TaskError(
        error.format_message(), where="command line", fix="tuneworthy --help", kept="everything"
    )


def _failed(error: TuneworthyError, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.plain()))
    print(str(error), file=sys.stderr)
    return error.exit_code


def _unread() -> int:
    """Return 141, as SIGPIPE does: the reader of our output is gone, and 0 would be a verdict."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _bug(error: Exception) -> int:
    """Say that this is our bug; the trace-back goes to a private file, never to the terminal."""
    handle, path = tempfile.mkstemp(prefix="tuneworthy-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as out:
        out.write(f"tuneworthy {__version__}, Python {sys.version}\n")
        out.write("".join(traceback.format_exception(error)))
    print(
        f"BUG: {type(error).__name__} in tuneworthy {__version__}\n"
        f"  where  {path} (the trace-back; it may quote your data)\n"
        "  fix    please open an issue with that file's content\n"
        "  kept   the store and all past results; `tuneworthy run` continues where it stopped",
        file=sys.stderr,
    )
    return 1
