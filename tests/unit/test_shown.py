"""The links of results/NAME: what they show, that they are replaced whole, and what is never touched."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tagdistill.artifacts.files import sha256_json
from tagdistill.cli.main import app
from tagdistill.errors import TagdistillError
from tagdistill.experiment.shared_files import Result
from tagdistill.workflow.shown import RECORD, Shown, experiments, last_run, read_record

KEYS = ["0" * 16, "1" * 16]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corpus(key: str = KEYS[0], language: str = "fr") -> Result:
    return Result("prepare", f"{language}-train", key, (f"data/{language}/train.parquet",), ("settings",))


def model(key: str = KEYS[0]) -> Result:
    folder = "students/posterior/seed-0"
    return Result(
        "train_student", "posterior-0", key, (f"{folder}/model", f"{folder}/training.json"), ("é\u2028", "code")
    )


def make(result: Result, text: str = "x") -> None:
    for file in [*result.files, result.benchmark]:
        path = Path(file, "config.json") if file.endswith("/model") else Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def links(folder: str) -> dict[str, str]:
    return {str(x.relative_to(folder)): str(x.readlink()) for x in Path(folder).rglob("*") if x.is_symlink()}


def test_links_show_the_results_of_the_config_and_the_record_what_they_are_made_of():
    shown = Shown("mine", [corpus(), model()])
    assert not shown.is_current()
    shown.write()
    assert shown.is_current()
    student = f"students/posterior/seed-0/{KEYS[0]}"
    assert links("results/mine") == {
        "data/fr/train.parquet": f"../../../shared/data/fr/{KEYS[0]}/train.parquet",
        "students/posterior/seed-0/model": f"../../../../shared/{student}/model",
        "students/posterior/seed-0/training.json": f"../../../../shared/{student}/training.json",
    }
    assert links("benchmarks/mine") == {
        "prepare/fr-train.tsv": f"../../shared/prepare/fr-train.{KEYS[0]}.tsv",
        "train_student/posterior-0.tsv": f"../../shared/train_student/posterior-0.{KEYS[0]}.tsv",
    }
    for result in shown.results:
        make(result, "a result")
    for file in ("data/fr/train.parquet", "students/posterior/seed-0/model/config.json"):
        assert Path("results/mine", file).read_text(encoding="utf-8") == "a result"
    assert set(last_run("mine").values()) == set(shown.results) and last_run("none") == {}


def test_another_key_moves_a_link_and_leaves_the_result():
    Shown("mine", [corpus()]).write()
    make(corpus(), "old")
    changed = Shown("mine", [corpus(KEYS[1])])
    assert not changed.is_current() and not changed.is_right("data/fr/train.parquet")
    changed.write()
    make(corpus(KEYS[1]), "new")
    assert Path("results/mine/data/fr/train.parquet").read_text(encoding="utf-8") == "new"
    Shown("mine", [corpus()]).write()
    assert Path("results/mine/data/fr/train.parquet").read_text(encoding="utf-8") == "old"


def test_links_that_are_lost_are_written_again():
    shown = Shown("mine", [corpus(), model()])
    shown.write()
    Path("results/mine/data/fr/train.parquet").unlink()
    assert not shown.is_current()
    shown.write()
    assert shown.is_current()
    shown.record.write_text(Shown("mine", [corpus()]).text(), encoding="utf-8")
    assert not shown.is_current()
    shown.record.unlink()
    assert not shown.is_current()


def test_what_the_config_no_longer_has_is_no_longer_shown_and_what_is_no_link_of_ours_stays(tmp_path: Path):
    Shown("mine", [corpus(), corpus(language="hi"), model()]).write()
    make(corpus(language="hi"))
    Path("results/mine/report").mkdir()
    Path("results/mine/report/index.html").touch()
    Path("results/mine/mine").symlink_to(tmp_path)
    Path("results/mine/data/lost").symlink_to("nowhere")
    Shown("mine", [corpus()]).write()
    assert set(links("results/mine")) == {"data/fr/train.parquet", "mine", "data/lost"}
    assert {x.name for x in Path("results/mine").iterdir()} == {RECORD, "data", "mine", "report"}
    assert not Path("results/mine/data/hi").exists() and not Path("benchmarks/mine/train_student").exists()
    assert Path(corpus(language="hi").files[0]).exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_in_the_place_of_a_link_is_refused_and_stays(kind: str, tmp_path: Path):
    place = Path("results/mine/students/posterior/seed-0/model")
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_text("precious", encoding="utf-8")
    elif kind == "folder":
        place.mkdir()
        (place / "config.json").write_text("precious", encoding="utf-8")
    else:
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    before = sorted(str(x) for x in Path().rglob("*"))
    for refused in (Shown("mine", [corpus(), model()]).check, Shown("mine", [corpus(), model()]).write):
        with pytest.raises(TagdistillError) as caught:
            refused()
        assert str(caught.value).startswith(f"{place}: this is no link to a shared result")
        assert "rename results/mine; else delete it" in str(caught.value)
    assert sorted(str(x) for x in Path().rglob("*")) == before


@pytest.mark.parametrize("place", ["results", "results/mine", "results/mine/data/fr"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_written(place: str):
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text("precious", encoding="utf-8")
    with pytest.raises(TagdistillError) as caught:
        Shown("mine", [corpus(), model()]).check()
    assert str(caught.value) == f"{place}: this is no folder, and results are shown in it\n  Rename it, or delete it."


def test_a_benchmark_of_an_earlier_version_is_replaced_as_each_run_replaced_it():
    old = Path("benchmarks/mine/prepare/fr-train.tsv")
    old.parent.mkdir(parents=True)
    old.write_text("s\n1\n", encoding="utf-8")
    Shown("mine", [corpus()]).write()
    assert old.is_symlink()


def test_links_lead_to_the_results_wherever_the_folder_of_an_experiment_lies(tmp_path: Path):
    disk = tmp_path / "other/disk/mine"
    disk.mkdir(parents=True)
    Path("results").mkdir()
    Path("results/mine").symlink_to(disk)
    shown = Shown("mine", [corpus()])
    make(corpus(), "a result")
    shown.write()
    assert shown.is_current()
    assert (disk / "data/fr/train.parquet").read_text(encoding="utf-8") == "a result"


def test_a_project_may_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown = Shown("mine", [corpus(), model()])
    shown.write()
    (tmp_path / "moved").mkdir()
    for top in ("results", "benchmarks"):
        Path(top).rename(tmp_path / "moved" / top)
    monkeypatch.chdir(tmp_path / "moved")
    assert shown.is_current()


def test_a_kill_while_links_are_written_leaves_some_and_the_next_run_writes_the_rest(monkeypatch: pytest.MonkeyPatch):
    Shown("mine", [corpus(), model()]).write()
    changed = Shown("mine", [corpus(KEYS[1]), model(KEYS[1])])
    written: list[Path] = []

    def killed(self: Path, target: Path) -> Path:
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(target)
        os.rename(self, target)  # noqa: PTH104 (Path.replace is what is replaced)
        return target

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            changed.write()
    assert len(written) == 1 and not changed.is_current()
    assert all(KEYS[0] in target or KEYS[1] in target for target in links("results/mine").values())
    changed.write()
    assert changed.is_current()


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("symlink_to", PermissionError(1, "Operation not permitted")),
        ("symlink_to", NotImplementedError("no links")),
        ("replace", OSError(5, "Input/output error")),
    ],
)
def test_a_file_system_without_links_is_told(operation: str, error: Exception, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, operation, refused)
    with pytest.raises(TagdistillError) as caught:
        Shown("mine", [corpus()]).write()
    assert "results/mine/data/fr/train.parquet: cannot write a link: " in str(caught.value)
    assert "run where you may write, on a file system that has them" in str(caught.value)
    assert not links("results/mine")


def test_the_command_writes_them_from_a_record(tmp_path: Path):
    shown = Shown("mine", [corpus(), model()])
    (tmp_path / "given").write_text(shown.text(), encoding="utf-8")
    for record in (shown.text(), "@given"):
        done = CliRunner().invoke(app, ["links", "--record", str(shown.record), "--results", record])
        assert done.exit_code == 0, done.output
        assert shown.is_current()
    assert read_record(shown.record.read_text(encoding="utf-8")) == list(shown.results)
    arguments = ["links", "--record", str(shown.record)]
    broken = CliRunner().invoke(app, [*arguments, "--results", json.dumps({"stage": "x"})])
    assert broken.exit_code == 1 and shown.is_current()
    for other in ("made_of.jsonl", "mine/made_of.jsonl", "/made_of.jsonl"):
        done = CliRunner().invoke(app, ["links", "--record", other, "--results", shown.text()])
        assert done.exit_code == 1 and isinstance(done.exception, TagdistillError)
        assert "Give results/NAME/made_of.jsonl" in str(done.exception)
    # Without new content, and in a folder elsewhere: a copy of what a job reads, in the storage of a run.
    shutil.copytree(tmp_path / "results", tmp_path / "storage/results", ignore=lambda *_: ["data", "students"])
    copied = tmp_path / "storage" / shown.record
    time = copied.stat().st_mtime_ns
    done = CliRunner().invoke(app, ["links", "--record", str(copied)])
    assert done.exit_code == 0, done.output
    assert Shown("mine", shown.results, tmp_path / "storage").is_current() and copied.stat().st_mtime_ns == time


def test_a_report_is_not_made_of_a_record_of_other_settings():
    shown = Shown("mine", [corpus(), model()])
    shown.write()
    options = ["--config", "{}", "--results", "results/mine", "--record", str(shown.record), "--made-of"]
    other = CliRunner().invoke(app, ["report", *options, sha256_json(Shown("mine", [corpus()]).text())])
    assert isinstance(other.exception, TagdistillError) and other.exception.where == str(shown.record)
    assert "another name, or remove this file and run again" in str(other.exception)
    same = CliRunner().invoke(app, ["report", *options, sha256_json(shown.text())])
    assert str(same.exception).startswith("--job: name: this key is needed")


def test_experiments_are_the_folders_of_results_but_the_shared_one():
    assert experiments() == []
    for name in ("mine", "b", "shared", ".hidden"):
        Path("results", name).mkdir(parents=True)
    Path("results/notes.txt").touch()
    assert experiments() == ["b", "mine"]
