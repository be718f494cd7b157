"""What the workflow says in a terminal: a failed job in a few lines, a bar where there is a terminal."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_tagdistill import MAX_LOG_LINES, LogHandler, LogHandlerSettings, end_of


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def handler(screen: Screen, monkeypatch: pytest.MonkeyPatch, file: Path | None = None, **changes: Any) -> LogHandler:
    monkeypatch.setattr("sys.stderr", screen)
    common = {"nocolor": True, "stdout": False, "quiet": None, "show_failed_logs": True, "debug_dag": False}
    common |= {"verbose": False, "dryrun": False, "printshellcmds": False, **changes}
    return LogHandler(SimpleNamespace(**common), LogHandlerSettings(file=file))  # type: ignore[arg-type]


def record(event: LogEvent | None, message: str = "", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, message, None, None)
    made.__dict__.update({"event": event, **fields})
    return made


JOB: dict[str, Any] = {
    **{"jobid": 3, "rule_name": "prepare", "rule_msg": "Read the train text of en", "wildcards": {"lang": "en"}},
    **{
        "reason": "Missing output files: x",
        "output": ["x"],
        "resources": {},
        "local": True,
        "benchmark": None,
        "shellcmd": "tagdistill prepare",
        "indent": False,
    },
}


def failure(log: Path) -> logging.LogRecord:
    fields = {**JOB, "rule_msg": None, "log": [str(log)], "shellcmd": "tagdistill prepare --job '{...}'", "aux": {}}
    return record(LogEvent.JOB_ERROR, **fields)


def test_a_failed_job_shows_the_end_of_its_log_and_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "en.log"
    log.write_text("".join(f"line {n}\n" for n in range(50)) + "error: en.conll:4: bad tag\n  Rename it.\n")
    screen = Screen(False)
    out = handler(screen, monkeypatch)
    out.emit(record(LogEvent.JOB_INFO, **JOB))
    out.emit(record(LogEvent.ERROR, "CalledProcessError in file x: tagdistill --job", exception="CalledProcessError"))
    out.emit(failure(log))
    text = screen.getvalue()
    lines = text.rstrip().splitlines()
    assert "Error in rule prepare: Read the train text of en" in text
    assert lines[-3:-1] == ["    | error: en.conll:4: bad tag", "    |   Rename it."]
    assert "give the same command again" in lines[-1]
    assert "--job" not in text and text.count("    | line") == MAX_LOG_LINES - 2


def test_a_target_is_named_without_its_files(monkeypatch: pytest.MonkeyPatch):
    screen = Screen(False)
    fields = {
        **JOB,
        "rule_name": "all",
        "rule_msg": None,
        "input": ["report/index.html"],
        "output": [],
        "shellcmd": None,
    }
    handler(screen, monkeypatch).emit(record(LogEvent.JOB_INFO, **fields))
    assert screen.getvalue().splitlines()[-2:] == ["Job 3: The target all", "Reason: Missing output files: x"]


def test_a_job_without_an_error_in_its_log_was_killed(tmp_path: Path):
    (tmp_path / "half.log").write_text("update 3 of 10\n")
    assert end_of(tmp_path / "half.log")[0] == "update 3 of 10" and "memory" in end_of(tmp_path / "half.log")[-1]
    assert "see the message above" in end_of(tmp_path / "half.log")[-1]  # Snakemake's own, of a full disk, say


def test_a_job_that_wrote_nothing_is_not_said_to_have_been_killed_for_memory(tmp_path: Path):
    (tmp_path / "empty.log").touch()
    for name in ("none.log", "empty.log"):  # such as one that the cluster refused
        assert end_of(tmp_path / name) == ["(nothing: the job did not start, or was ended before it wrote a line)"]


def test_jobs_of_a_run_that_was_stopped_did_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "half.log").write_text("update 3 of 10\n")
    screen = Screen(False)
    out = handler(screen, monkeypatch)
    out.emit(record(None, "Terminating processes on user request, this might take some time."))
    out.emit(failure(tmp_path / "half.log"))
    lines = screen.getvalue().rstrip().splitlines()
    assert lines[-3:-1] == ["    | update 3 of 10", "    | (stopped on request, by Ctrl-C or a signal)"]
    assert lines[-1] == "    Give the same command again: what is finished stays."


@pytest.mark.parametrize(
    ("status", "says"), [(143, "on request"), (130, "on request"), (-15, "on request"), (137, "memory")]
)
def test_a_job_that_was_asked_to_end_was_not_killed_for_memory(
    status: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    logs = [tmp_path / f"{name}.log" for name in ("this", "other")]
    for log in logs:
        log.write_text("update 3 of 10\n")
    screen = Screen(False)
    out = handler(screen, monkeypatch)
    said = f"CalledProcessError in file x:\n{CalledProcessError(status, f'tagdistill > {logs[0]} 2>&1')}"
    out.emit(record(LogEvent.ERROR, said, exception="CalledProcessError"))
    out.emit(failure(logs[0]))
    assert says in screen.getvalue() and "exit status" not in screen.getvalue()
    out.emit(failure(logs[1]))
    assert "memory" in screen.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_notes_of_a_job_that_ended_are_shown_once_and_cannot_move_the_cursor(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = tmp_path / "en.log"
    lines = ("note: comment lines left out: 2 (x:1)", "info", "warning: x: it is \x1b[2Jodd")
    log.write_text("".join(f"12:00:0{n} {line}\n" for n, line in enumerate(lines)))
    screen = Screen(terminal)
    out = handler(screen, monkeypatch, quiet={Quietness.RULES})
    out.emit(record(LogEvent.JOB_INFO, **JOB, log=[str(log)]))
    for _ in range(2):
        out.emit(record(LogEvent.JOB_FINISHED, job_id=JOB["jobid"]))
    assert screen.getvalue().count("note: comment lines left out: 2 (x:1)\n") == 1
    assert "warning: x: it is \\x1b[2Jodd\n" in screen.getvalue() and "info" not in screen.getvalue()
    silent = Screen(terminal)
    out = handler(silent, monkeypatch, quiet={Quietness.ALL})
    out.emit(record(LogEvent.JOB_INFO, **JOB, log=[str(log)]))
    out.emit(record(LogEvent.JOB_FINISHED, job_id=JOB["jobid"]))
    assert silent.getvalue() == ""


def test_other_errors_are_shown(monkeypatch: pytest.MonkeyPatch):
    screen = Screen(False)
    handler(screen, monkeypatch).emit(record(LogEvent.ERROR, "Directory cannot be locked.", exception="LockException"))
    assert screen.getvalue() == "Directory cannot be locked.\n"


def test_a_terminal_has_a_bar_and_a_file_has_lines(monkeypatch: pytest.MonkeyPatch):
    plain = Screen(False)
    handler(plain, monkeypatch).emit(record(LogEvent.PROGRESS, done=1, total=4))
    assert plain.getvalue() == "1 of 4 steps (25%) done\n"
    terminal = Screen(True)
    out = handler(terminal, monkeypatch)
    out.emit(record(LogEvent.PROGRESS, done=1, total=4))
    assert "1/4" in terminal.getvalue() and "steps" not in terminal.getvalue()
    out.emit(record(None, "a message"))
    assert "a message\n" in terminal.getvalue()
    out.close()


def test_jobs_are_noted_even_where_nothing_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    screen, file = Screen(False), tmp_path / "jobs"
    handler(screen, monkeypatch, file, quiet={Quietness.ALL}).emit(record(LogEvent.JOB_INFO, **JOB))
    assert screen.getvalue() == ""
    noted = json.loads(file.read_text(encoding="utf-8"))
    assert (noted["rule"], noted["wildcards"], noted["benchmark"]) == ("prepare", {"lang": "en"}, "")
