"""The messages of the workflow: `--logger tagdistill`, which its profiles set.

Snakemake's own messages, but for three: a job that failed shows the end of its log and no command line of a thousand
characters, one that ended shows the notes and warnings in its log, and on a terminal a bar stands below the messages.
With `--logger-tagdistill-file FILE` each job that is planned or started is also written as one line of JSON, which
`tagdistill plan` and the tests read.

Snakemake finds its plug-ins by the name of their package, and reads the types of their settings as they stand.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Any, Optional

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase
from tqdm import tqdm

from tagdistill.formatting import printable

# Of a job that was killed, or whose end Snakemake could not record (a full disk): it says so before.
NO_ERROR = "(no error: see the message above; without one the job was killed, perhaps for want of memory)"
MAX_LOG_LINES = 15  # of the log of a failed job
# How Python reports a command that SIGINT or SIGTERM ended.
ENDED_BY_SIGNAL = re.compile(r"returned non-zero exit status (130|143)\.|died with <Signals\.SIG(INT|TERM): ")
NOTED = re.compile(r"\d\d:\d\d:\d\d ((?:note|warning): .*)")  # in the log of a job: what its user should know
STOPPED = "Terminating processes on user request"  # how Snakemake begins to end: Ctrl-C, or a signal


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The settings of `--logger-tagdistill-...`."""

    file: Optional[Path] = field(  # noqa: UP045
        default=None, metadata={"help": "file to append one line of JSON per job to"}
    )


class Formatter(DefaultFormatter):  # type: ignore[misc]  # snakemake has no types
    """Snakemake's messages, with a job's failure in a few lines."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.jobs: dict[int, str] = {}  # the rules' messages on their jobs: an error has a number alone
        self.stopped = False  # on request: jobs that end after that did not fail
        self.ended_by_signal: list[str] = []  # command lines

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """Return the message on a job that starts, and remember what its rule says it does.

        A target, which computes nothing, is named without its hundreds of files.
        """
        if not (msg["rule_msg"] or msg["output"] or msg.get("shellcmd")):
            msg = {**msg, "rule_msg": f"The target {msg['rule_name']}"}
        self.jobs[msg["jobid"]] = msg["rule_msg"]
        return str(super().format_job_info(msg))

    def _format_job_error(self, msg: dict[str, Any]) -> list[str]:
        what = self.jobs.get(msg["jobid"]) or f"job {msg['jobid']}"
        lines = [f"Error in rule {msg['rule_name']}: {what}"]
        lines += [f"    {msg['rule_msg']}"] if msg["rule_msg"] else []
        stopped = self.stopped
        for log in msg["log"]:
            stopped |= any(str(log) in command for command in self.ended_by_signal)
            lines += [f"    {log} ends:", *(f"    | {line}" for line in end_of(Path(log), stopped))]
        if not msg["log"]:
            lines.append(f"    {msg['shellcmd']}")
        lines += [f"    {name}: {value}" for name, value in (msg.get("aux") or {}).items()]
        way = "Give" if stopped else "Put it right and give"
        return [*lines, f"    {way} the same command again: what is finished stays."]


def end_of(log: Path, stopped: bool = False) -> list[str]:
    """Return the last lines of a log; if they hold no error, also what that means. `stopped`: the run, on request."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = text.rstrip().splitlines()
    if stopped:
        lines.append("(stopped on request, by Ctrl-C or a signal)")
    elif not lines:
        lines.append("(nothing: the job did not start, or was ended before it wrote a line)")
    elif not any("error" in line.lower() for line in lines):
        lines.append(NO_ERROR)
    return [printable(line) for line in lines[-MAX_LOG_LINES:]]


def noted(logs: Sequence[str]) -> list[str]:
    """Return the notes and warnings in the logs of a job that ended."""
    texts = [Path(log).read_text(encoding="utf-8", errors="replace") for log in logs if Path(log).is_file()]
    return [printable(found[1]) for text in texts for found in map(NOTED.match, text.splitlines()) if found]


class LogHandler(LogHandlerBase):
    """Write messages to the terminal, and jobs to the file if one is named."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        common: Any = self.common_settings
        self.bar: tqdm[Any] | None = None
        self.logs: dict[int, list[str]] = {}  # of jobs that run: the message on their end has a number alone
        self.silent = Quietness.ALL in (common.quiet or ())
        self.messages = Formatter(common.quiet, common.show_failed_logs)
        self.text = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            formatter=self.messages,
        )
        quiet = (common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self.text.addFilter(DefaultFilter(*quiet))

    def emit(self, record: LogRecord) -> None:
        """Show one message of Snakemake, or move the bar."""
        event = getattr(record, "event", None)
        self._look_for_a_stop(record.getMessage())
        if event == LogEvent.JOB_INFO:
            self.logs[record.__dict__["jobid"]] = [str(log) for log in record.__dict__.get("log") or ()]
            if getattr(self.settings, "file", None):
                self._note(record.__dict__)
        if event == LogEvent.JOB_FINISHED and not self.silent:
            self._tell(noted(self.logs.pop(record.__dict__["job_id"], [])))
        # The command line of a failed job, which the message of the job leaves out on purpose.
        # It comes as a RuleException as well.
        repeats = event == LogEvent.ERROR and "CalledProcessError in file" in record.getMessage()
        if repeats or not self.text.filter(record):
            return
        if event == LogEvent.PROGRESS and self.text.is_tty:
            self._move(record.__dict__["done"], record.__dict__["total"])
            return
        with tqdm.external_write_mode(file=self.text.stream):  # the bar steps aside
            self.text.emit(record)

    def _tell(self, lines: list[str]) -> None:
        """Show the notes of a job above the bar."""
        if lines:
            with tqdm.external_write_mode(file=self.text.stream):
                self.text.stream.write("".join(f"{line}\n" for line in lines))

    def _look_for_a_stop(self, message: str) -> None:
        self.messages.stopped |= message.startswith(STOPPED)
        if ENDED_BY_SIGNAL.search(message):
            self.messages.ended_by_signal.append(message)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
        super().close()

    def _move(self, done: int, total: int) -> None:
        if self.bar is None:
            self.bar = tqdm(total=total, file=self.text.stream, unit=" jobs", leave=False, dynamic_ncols=True)
        self.bar.total = total
        self.bar.n = done
        self.bar.refresh()

    def _note(self, event: dict[str, Any]) -> None:
        job = {
            "rule": event["rule_name"],
            "wildcards": dict(event["wildcards"] or {}),
            "reason": event["reason"],
            "output": [str(file) for file in event["output"]],
            "resources": {n: v if isinstance(v, int) else str(v) for n, v in event["resources"].items()},
            "benchmark": str(event["benchmark"] or ""),
        }
        with Path(self.settings.file).open("a", encoding="utf-8") as file:  # type: ignore[union-attr]
            file.write(json.dumps(job) + "\n")
