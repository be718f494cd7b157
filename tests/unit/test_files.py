"""Files that are complete or absent, on file systems that fail too."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tagdistill.artifacts.files import atomic_path, is_running, write_text
from tagdistill.artifacts.write_errors import write_errors, write_failure
from tagdistill.errors import TagdistillError

BEGIN = """
import os, sys
from pathlib import Path
from tagdistill.artifacts.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("half")
    os._exit(9)
"""


def begin_and_die(target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN, str(target)], check=False)
    assert done.returncode == 9


def test_what_a_killed_process_began_is_removed_by_the_next_writer_of_the_same_file(tmp_path):
    target = tmp_path / "model"
    begin_and_die(target)
    begin_and_die(tmp_path / "other")
    assert len(list(tmp_path.iterdir())) == 2
    write_text(target, "whole")
    assert target.read_text() == "whole"
    assert [path.name.split(".")[1] for path in tmp_path.iterdir() if path != target] == ["other"]


DIE_WHEN_THE_MODE_IS_KNOWN = """
import os, sys
from pathlib import Path
from tagdistill.artifacts.files import write_text
os.fstat = lambda number: os._exit(9)
write_text(Path(sys.argv[1]), "whole")
"""


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u6771"])
def test_the_longest_name_that_a_file_may_have_can_be_written(letter, tmp_path):
    target = tmp_path / (letter * (255 // len(letter.encode())))
    begin_and_die(target)
    target.write_text("old")
    write_text(target, "new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_the_file_that_tells_the_usual_mode_is_removed_too(tmp_path):
    target = tmp_path / "model"
    done = subprocess.run([sys.executable, "-c", DIE_WHEN_THE_MODE_IS_KNOWN, str(target)], check=False)
    assert done.returncode == 9
    assert any(path.name.endswith(".mode") for path in tmp_path.iterdir())
    write_text(target, "whole")
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_process_still_writes_is_left_alone(tmp_path):
    target = tmp_path / "model"
    with atomic_path(target) as temporary:
        temporary.write_text("mine")
        mine = temporary.with_name(temporary.name.replace(str(os.getpid()), str(os.getppid())))
        mine.write_text("of a process that runs")
        elsewhere = temporary.with_name(".model.another-machine.999999.tmp")
        elsewhere.write_text("of another machine")
    write_text(target, "again")
    assert mine.exists() and elsewhere.exists()


def test_a_folder_stays_as_it_was_when_the_new_one_fails(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old")
    (target / "tagdistill.json").write_text('{"format": 1}')
    with (
        pytest.raises(TagdistillError, match="cannot write: No space left on device") as caught,
        atomic_path(target) as new,
    ):
        new.mkdir()
        (new / "weights").write_text("new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.where == str(target) and "unchanged" in caught.value.hint
    assert (target / "weights").read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_the_first_error_is_told_where_cleaning_up_fails_too(tmp_path, monkeypatch):
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with (
        pytest.raises(TagdistillError, match="cannot write: Read-only file system\n  Nobody can write there: choose"),
        atomic_path(tmp_path / "x") as new,
    ):
        new.write_text("half")
        monkeypatch.setattr(Path, "unlink", read_only)
        read_only()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "x"), "Input/output error"),
        (RuntimeError('IoError(Os { code: 28, message: "No space left on device" })'), "No space left on device"),
        (
            RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 1 vs 2"),
            "the file system reports an error",
        ),
        (RuntimeError("shapes do not match"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), None),
        (ValueError("iostream error"), None),
    ],
)
def test_what_says_that_a_file_cannot_be_written(error, reason):
    assert write_failure(error) == reason


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(KeyError), write_errors(tmp_path):
        raise KeyError("x")
    with pytest.raises(TagdistillError, match=r"^ours$"), write_errors(tmp_path):
        raise TagdistillError("ours")


def test_numbers_of_processes():
    assert is_running(os.getpid()) and is_running(10**30)
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    assert not is_running(int(done.stdout))
