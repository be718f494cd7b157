"""An output path is the user's until it is known to be ours: for every command, and for all that writes."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_runs import encoded, make_corpus, teacher_run, tiny_encoder

from tagdistill.artifacts import files
from tagdistill.artifacts.files import atomic_path, write_json, write_text
from tagdistill.cli import main as cli
from tagdistill.errors import TagdistillError
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, TeacherJob, VectorsJob, write_job
from tagdistill.prediction.predict import predict_file
from tagdistill.settings.encoder import EncoderSettings, Vectors, WordEncoder
from tagdistill.settings.language import Language
from tagdistill.settings.training import TeacherSettings
from tagdistill.training.run_training import run_training

NULL = Path("/dev/null")
TINY = EncoderSettings(provider="tiny")
JOBS = {
    "prepare": PrepareJob(
        language="en", split="train", settings=Language(train="x.conll"), task="ner", labels=("O", "S-PER")
    ),
    "encode": EncodeJob(encoder=TINY),
    "vectors": VectorsJob(vectors=Vectors(path="x.vec")),
    "teacher": TeacherJob(
        languages=("en",),
        task="ner",
        labels=("O", "S-PER"),
        decoder="crf",
        settings=TeacherSettings(updates=1),
        encoder=WordEncoder(provider="tiny"),
        seed=1,
    ),
    "evaluate": EvaluateJob(model="students/posterior/seed-1", languages=()),
}
JOB = {name: write_job(job) for name, job in JOBS.items()}
STORES = '{"corpora": ["IN"], "features": ["OUT"]}'
TRAIN = "train-teacher", "--job", JOB["teacher"], "--files", '{"train": ["IN"]}'
# Each option that writes: what it writes, and the command with OUT in its place. IN is a file, DIR a folder.
FILE = {
    "predict": ("predict", "IN", "--model", "DIR", "--output", "OUT"),
    "paper": ("paper", "DIR", "--out", "OUT"),
    "prepare": ("prepare", "--job", JOB["prepare"], "--source", "IN", "--out", "OUT"),
    "prepare --files": ("prepare", "--job", JOB["prepare"], "--files", '{"tests": ["IN"]}', "--out", "OUT"),
    "repeats": ("repeats", "--files", '{"seen": [], "tests": ["IN"]}', "--out", "OUT"),
    "data-report": ("data-report", "IN", "--out", "OUT"),
    "score": ("score", "--model", "DIR", "--corpus", "IN", "--out", "OUT"),
    "targets": ("targets", "--scores", "IN", "--out", "OUT"),
    "train --log": (*TRAIN, "--model", "M", "--log", "OUT", "--summary", "S", "--checkpoints", "C"),
    "train --summary": (
        *TRAIN,
        "--model",
        "M",
        "--log",
        "L",
        "--summary",
        "OUT",
        "--checkpoints",
        "C",
    ),
}
FOLDER = {
    "convert-encoder": ("convert-encoder", "--job", JOB["encode"], "--source", "DIR", "--out", "OUT"),
    "convert-vectors": ("convert-vectors", "--job", JOB["vectors"], "--data", "D", "--source", "IN", "--out", "OUT"),
    "export": ("export", "--model", "DIR", "--encoder", "DIR", "--card", "IN", "--out", "OUT"),
    "train --model": (*TRAIN, "--model", "OUT", "--log", "L", "--summary", "S", "--checkpoints", "C"),
}
INTO = {  # folders into which files are written
    "compare": ("compare", "DIR", "DIR", "--out", "OUT"),
    "encode": ("encode", "--job", JOB["encode"], "--encoder", "DIR", "--files", '{"corpora":["IN"]}', "--out", "OUT"),
    "fetch": ("fetch", "--job", JOB["prepare"], "--data", "OUT"),
    "evaluate-model": ("evaluate-model", "--job", JOB["evaluate"], "--files", "{}", "--model", "DIR",
                       "--predictions", "OUT", "--metrics", "M"),
    "evaluate-model --metrics": ("evaluate-model", "--job", JOB["evaluate"], "--files", "{}", "--model", "DIR",
                                 "--predictions", "P", "--metrics", "OUT"),
    "report": ("report", "--config", "{}", "--results", "OUT"),
    "results": ("results", "DIR", "--out", "OUT"),
    "train --checkpoints": (*TRAIN, "--model", "M", "--log", "L", "--summary", "S",
                            "--checkpoints", "OUT"),
}  # fmt: skip
HAS_INPUT = {name for name, command in FILE.items() if "IN" in " ".join(command)}


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run a command of the tables on an output path; return its exit code and what it wrote to stderr."""
    (tmp_path / "in.txt").write_text("a O\n")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)

    def run(command: tuple[str, ...], out: object) -> tuple[int, str]:
        places = {"OUT": str(out), "IN": str(tmp_path / "in.txt"), "DIR": str(tmp_path / "given")}
        arguments = [
            part if part in JOB.values() else part.replace("OUT", places["OUT"]).replace("IN", places["IN"])
            for part in (places["DIR"] if part == "DIR" else part for part in command)
        ]
        monkeypatch.setattr(sys, "argv", ["tagdistill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", FILE)
def test_a_file_never_replaces_a_folder(name, call, tmp_path):
    before = content(tmp_path)
    code, said = call(FILE[name], tmp_path / "given")
    assert (code, "this is a folder, a file is needed" in said or "overwrite the input" in said) == (1, True), said
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", FOLDER)
@pytest.mark.parametrize("there", ["given", "in.txt", "/dev/null", "-"])
def test_a_folder_replaces_nothing_that_is_not_ours(name, there, call, tmp_path):
    before = content(tmp_path)
    code, said = call(FOLDER[name], there if there == "-" else tmp_path / there)
    needed = {"given": "was not written by tagdistill", "in.txt": "this is a file"}.get(there, "cannot be written to")
    assert (code, needed in said) == (1, True), said
    assert content(tmp_path) == before
    assert stat.S_ISCHR(NULL.stat().st_mode)


@pytest.mark.parametrize("name", INTO)
@pytest.mark.parametrize("there", ["in.txt", "/dev/null", "-", "in.txt/below"])
def test_files_are_written_into_folders_only(name, there, call, tmp_path):
    before = content(tmp_path)
    code, said = call(INTO[name], there if there == "-" else tmp_path / there)
    assert (code, "a folder is needed" in said or "is a file, not a folder" in said) == (1, True), said
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", sorted(HAS_INPUT))
@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_the_input_is_never_the_output(name, link, call, tmp_path):
    out = tmp_path / ("in.txt" if link == "itself" else "other.txt")
    if link == "symbolic":
        out.symlink_to(tmp_path / "in.txt")
    elif link == "hard":
        out.hardlink_to(tmp_path / "in.txt")
    code, said = call(FILE[name], out)
    assert (code, "the output would overwrite the input" in said) == (1, True), said
    assert (tmp_path / "in.txt").read_text() == "a O\n"


@pytest.mark.parametrize("name", [name for name, command in FILE.items() if "DIR" in command])
def test_a_file_inside_an_input_folder_is_never_the_output(name, call, tmp_path):
    code, said = call(FILE[name], tmp_path / "given" / "notes.txt")
    assert (code, "the output would overwrite the input" in said) == (1, True), said
    assert (tmp_path / "given" / "notes.txt").read_text() == "mine"


def test_a_page_of_the_user_s_own_is_not_replaced_by_a_comparison(call, tmp_path):
    (tmp_path / "given" / "index.html").write_text("<h1>mine</h1>")
    code, said = call(INTO["compare"], tmp_path / "given")
    assert (code, "index.html is there, and was not written by tagdistill" in said) == (1, True), said
    assert (tmp_path / "given" / "index.html").read_text() == "<h1>mine</h1>"


def test_the_report_of_an_experiment_is_not_replaced_by_a_comparison(call, tmp_path):
    report = tmp_path / "given" / "index.html"
    report.write_text('<meta name="generator" content="tagdistill 0.1.0"><h1>report</h1>')
    page = report.read_text()
    code, said = call(INTO["compare"], tmp_path / "given")
    assert (code, "index.html is there, and is another page, without differences.tsv" in said) == (1, True), said
    assert report.read_text() == page
    (tmp_path / "given" / "differences.tsv").touch()  # as a comparison has it
    assert "index.html" not in call(INTO["compare"], tmp_path / "given")[1]


@pytest.mark.parametrize("name", [*FILE, *FOLDER, *INTO])
def test_a_place_that_may_not_be_written_to_is_told_before_any_work(name, call, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "closed")  # modes do not bind root
    code, said = call({**FILE, **FOLDER, **INTO}[name], tmp_path / "closed" / "new")
    assert (code, "permission denied" in said) == (1, True), said


@pytest.mark.parametrize("name", [*FILE, *FOLDER, *INTO])
def test_a_read_only_file_system_is_no_matter_of_permissions(name, call, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    state = os.statvfs(tmp_path)
    flags = SimpleNamespace(f_flag=state.f_flag | os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda path: flags if path == tmp_path / "closed" else state)
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "closed")
    code, said = call({**FILE, **FOLDER, **INTO}[name], tmp_path / "closed" / "new")
    assert (code, "is on a read-only file system\n  Nobody can write there" in said) == (1, True), said
    assert "belongs to" not in said


# ---- what is written through


@contextmanager
def fifo(path: Path):
    """Make a FIFO, and yield a list that holds what was written to it after the block."""
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    yield got
    reader.join(10)


def test_pages_go_through_fifos_links_devices_and_stdout(call, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    page = tmp_path / "page.md"
    paper = ("paper", "--out", "OUT")
    assert call(paper, page)[0] == 0
    with fifo(tmp_path / "pipe") as got:
        assert call(paper, tmp_path / "pipe")[0] == 0
    assert got == [page.read_bytes()]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "link").symlink_to("elsewhere.md")
    assert call(paper, tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere.md").read_bytes() == page.read_bytes()
    assert call(paper, "/dev/null")[0] == 0
    assert stat.S_ISCHR(NULL.stat().st_mode)
    sys.stdout.buffer.seek(0)
    assert call(paper, "-")[0] == 0
    assert sys.stdout.buffer.getvalue() == page.read_bytes()
    assert not (tmp_path / "-").exists()


def test_what_is_written_to_an_open_file_is_added_to_it(tmp_path):
    log = tmp_path / "log"
    with log.open("ab") as opened:
        opened.write(b"before\n")
        opened.flush()
        write_text(Path(f"/dev/fd/{opened.fileno()}"), "after\n")
    assert log.read_bytes() == b"before\nafter\n"


def test_stdin_is_labelled_to_stdout_as_a_file_is(tmp_path, monkeypatch, capsysbinary):
    encoder = tiny_encoder(tmp_path)
    run = teacher_run(tmp_path, encoded(make_corpus(tmp_path, "en", "train", 9), encoder), updates=2)
    run_training(run)
    (tmp_path / "text.conll").write_text("o1\ns-per2\n\no3\n")
    predict_file(run.outputs.model, tmp_path / "text.conll", tmp_path / "labels.tsv")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "text.conll").read_bytes())))
    options = ["--format", "conll", "--model", str(run.outputs.model), "--output", "-"]
    monkeypatch.setattr(sys, "argv", ["tagdistill", "predict", "-", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsysbinary.readouterr().out == (tmp_path / "labels.tsv").read_bytes()


# ---- replacing


@pytest.mark.parametrize("ours", [{"tagdistill.json": {"format": 1}}, {"config.json": {"format": 9, "kind": "tagger"}}])
def test_a_folder_of_ours_is_replaced_and_a_transformer_of_the_user_s_is_not(ours, tmp_path):
    for place, record in (("ours", ours), ("theirs", {"config.json": {"model_type": "bert"}})):
        (tmp_path / place).mkdir()
        for name, values in record.items():
            write_json(tmp_path / place / name, values)
    with atomic_path(tmp_path / "ours") as folder:
        folder.mkdir()
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["new"]
    with pytest.raises(TagdistillError, match="not written by tagdistill"), atomic_path(tmp_path / "theirs") as folder:
        folder.mkdir()
    assert json.loads((tmp_path / "theirs" / "config.json").read_text()) == {"model_type": "bert"}
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "theirs"}


def test_a_finished_result_outlives_a_clean_up_that_fails(tmp_path, monkeypatch, caplog):
    write_json(tmp_path / "model" / "tagdistill.json", {"format": 1})

    def busy(path, *_, **__):
        raise OSError(16, "Device or resource busy", str(path))  # an open file on NFS

    monkeypatch.setattr(files.shutil, "rmtree", busy)
    with atomic_path(tmp_path / "model") as folder:
        folder.mkdir()
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]
    assert "could not be removed" in caplog.text


def test_what_was_there_comes_back_if_the_new_folder_cannot_take_its_place(tmp_path, monkeypatch):
    write_json(tmp_path / "model" / "tagdistill.json", {"format": 1})
    rename = Path.rename

    def failing(self, target):
        if self.name.endswith(".tmp"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(TagdistillError, match="Input/output"), atomic_path(tmp_path / "model") as folder:
        folder.mkdir()
    assert (tmp_path / "model" / "tagdistill.json").exists()


# ---- modes


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_all_files_have_the_mode_that_the_umask_leaves(umask, tmp_path):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "folder") as folder:
            (folder / "below").mkdir(parents=True)
            for name in ("weights", "below/weights"):
                (folder / name).touch(mode=0o600)  # as safetensors writes
        write_text(tmp_path / "text", "")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o666 & ~umask}
    assert stat.S_IMODE((tmp_path / "folder" / "below").stat().st_mode) == 0o777 & ~umask


def test_an_input_that_may_not_be_read_is_not_blamed_on_the_output(tmp_path):
    def denied() -> None:
        raise PermissionError(13, "Permission denied", "/elsewhere/card.md")

    with pytest.raises(PermissionError, match="elsewhere"), atomic_path(tmp_path / "out"):
        denied()


def test_a_file_that_may_not_be_read_is_told_with_its_owner(call, tmp_path, monkeypatch):
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "in.txt"))

    monkeypatch.setattr("tagdistill.reporting.paper.write_paper", denied)
    code, said = call(("paper", "--out", "OUT"), tmp_path / "page.md")
    assert code == 1
    owner = (tmp_path / "in.txt").owner()
    assert said.startswith(f"error: {tmp_path / 'in.txt'}: permission denied\n  It belongs to {owner}")
    assert "Traceback" not in said
