"""The `tagdistill` command: its groups of commands, and how errors end.

A command imports what it needs when it runs: `--help` must not wait for torch.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from tagdistill import __version__
from tagdistill.artifacts.streams import open_streams
from tagdistill.artifacts.write_errors import owner, write_failure
from tagdistill.cli import inference, project, services, stages
from tagdistill.cli.help import GroupedCommands
from tagdistill.crf.errors import KernelError
from tagdistill.errors import TagdistillError, missing_package
from tagdistill.formatting import printable

DEFECT = "This is a bug in tagdistill, not a mistake of yours: please report it with all of this text."
UNCHANGED = "Put it right and run again: what was finished before is unchanged."
NOISY = ("transformers", "filelock", "urllib3", "httpx", "httpx2", "pooch")
INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended


class PrintableFormatter(logging.Formatter):
    """Messages that may quote data, safe for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with escapes for what a terminal would obey."""
        return printable(super().format(record))


app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Distil many monolingual sequence taggers into one multilingual tagger.",
)
app.add_typer(project.app)
app.add_typer(inference.app)
app.add_typer(services.app)
app.add_typer(stages.app)


def main() -> None:
    """Run the command line; a user's mistake ends in one message, without a traceback."""
    # Most jobs are short. A third of their time was Python's collector, which goes through all that torch and
    # transformers import, many times during the imports and once more at the end.
    open_streams()
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    logging.basicConfig(level=logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        app()
    except BrokenPipeError:  # of `tagdistill ... | head`; nothing may be written to it at exit, either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        print(f"error: {_message(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _message(error: Exception) -> str:
    """Return what to tell the user; a defect of ours is printed with its traceback first."""
    if isinstance(error, (TagdistillError, KernelError)):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("tagdistill"):
        return str(missing_package(error))
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename}: permission denied\n  {owner(Path(error.filename))}"
    if reason := write_failure(error):
        place = getattr(error, "filename", None) or "a file"
        return f"{place}: cannot be written or read: {reason}\n  {UNCHANGED}"
    print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)  # noqa: T201
    return printable(f"{type(error).__name__}: {error}\n  {DEFECT}")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
