"""How the workflow talks to a person: `--logger tagdistill`, which its profiles set.

Snakemake's own messages, but for two: a job that failed shows the end of its log and no command line of a thousand
characters, and on a terminal a bar stands below the messages. With `--logger-tagdistill-file FILE` each job that is
planned or started is also written as a line of JSON, which `tagdistill plan` and the tests read.

Snakemake finds its plug-ins by the name of their package, and reads the types of their settings as they stand.
"""

import json
import sys
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Any, Optional

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase
from tqdm import tqdm

LINES = 15  # of the log of a job that failed


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    file: Optional[Path] = field(  # noqa: UP045
        default=None, metadata={"help": "file to append a line of JSON a job to"}
    )


class Formatter(DefaultFormatter):
    """Snakemake's messages, with a job's failure told in a few lines."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.jobs: dict[int, str] = {}  # what the rules say of their jobs: an error names a number alone

    def format_job_info(self, msg: dict[str, Any]) -> str:
        self.jobs[msg["jobid"]] = msg["rule_msg"]
        return super().format_job_info(msg)

    def _format_job_error(self, msg: dict[str, Any]) -> list[str]:
        what = self.jobs.get(msg["jobid"]) or f"job {msg['jobid']}"
        told = [f"Error in rule {msg['rule_name']}: {what}"]
        told += [f"    {msg['rule_msg']}"] if msg["rule_msg"] else []
        for log in msg["log"]:
            told += [f"    {log} ends:", *(f"    | {line}" for line in end_of(Path(log)))]
        if not msg["log"]:
            told.append(f"    {msg['shellcmd']}")
        told += [f"    {name}: {value}" for name, value in (msg.get("aux") or {}).items()]
        return [*told, "    Put it right and give the same command again: what is finished stays."]


def end_of(log: Path) -> list[str]:
    """Return the last lines of a log, or what it means that there are none."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = text.rstrip().splitlines()
    if not any("error" in line.lower() for line in lines):
        lines.append("(no error is told: the job was killed, perhaps because it took more memory than there is)")
    return lines[-LINES:]


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
        self.text = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            formatter=Formatter(common.quiet, common.show_failed_logs),
        )
        quiet = (common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self.text.addFilter(DefaultFilter(*quiet))

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO and getattr(self.settings, "file", None):
            self._note(record.__dict__)
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

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        super().close()

    def _move(self, done: int, total: int) -> None:
        if self.bar is None:
            self.bar = tqdm(total=total, file=self.text.stream, unit=" jobs", leave=False, dynamic_ncols=True)
        self.bar.total = total
        self.bar.n = done
        self.bar.refresh()

    def _note(self, told: dict[str, Any]) -> None:
        job = {
            "rule": told["rule_name"],
            "wildcards": dict(told["wildcards"] or {}),
            "reason": told["reason"],
            "output": [str(file) for file in told["output"]],
            "resources": {n: v if isinstance(v, int) else str(v) for n, v in told["resources"].items()},
            "benchmark": str(told["benchmark"] or ""),
        }
        with Path(self.settings.file).open("a", encoding="utf-8") as file:  # type: ignore[union-attr]
            file.write(json.dumps(job) + "\n")
