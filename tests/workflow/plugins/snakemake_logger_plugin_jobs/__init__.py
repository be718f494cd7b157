"""A logger of Snakemake that writes each job it plans as a line of JSON, so that no test reads a terminal."""

from __future__ import annotations

import json
import os
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Append rule, wildcards, outputs and reason of each job to the file named by SNAKEMAKE_JOBS."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        job = {name: getattr(record, name) for name in ("rule_name", "reason")}
        job["wildcards"] = dict(record.wildcards or {})
        job["output"] = [str(file) for file in record.output]
        with Path(os.environ["SNAKEMAKE_JOBS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(job) + "\n")
