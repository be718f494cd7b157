"""A logger of Snakemake that writes each job it plans or starts as a line of JSON: `--logger tagdistill`.

Snakemake finds its plug-ins by the name of their package. `tagdistill plan` and the tests read what this one writes.
"""

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    file: Optional[Path] = field(  # noqa: UP045 (Snakemake reads the type)
        default=None, metadata={"help": "file to append a line of JSON a job to", "required": True}
    )


class LogHandler(LogHandlerBase):
    """Append rule, wildcards, outputs, resources, benchmark and reason of each job to the file."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        told = record.__dict__
        job = {
            "rule": told["rule_name"],
            "wildcards": dict(told["wildcards"] or {}),
            "reason": told["reason"],
            "output": [str(file) for file in told["output"]],
            "resources": {n: v if isinstance(v, int) else str(v) for n, v in told["resources"].items()},
            "local": told["local"],  # of a real run; a dry run does not know
            "benchmark": str(told["benchmark"] or ""),
        }
        with Path(self.settings.file).open("a", encoding="utf-8") as file:  # type: ignore[union-attr, arg-type]
            file.write(json.dumps(job) + "\n")
