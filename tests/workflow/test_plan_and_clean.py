"""Before and after a run: what it would do, said to a person, and what nobody needs any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import Project, experiment, output, tagdistill

OLD = "0" * 16  # a key of nothing


def row(text: str, stage: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{stage} "))
    return line


def test_a_plan_says_what_runs_why_how_long_and_how_much(finished: Project):
    values = experiment()
    values["languages"]["hi"] = {"source": "demo"}
    values["languages"]["es"]["teacher"] = {"updates": 7}
    text = output(finished, "plan", str(finished.write(values)), "--cores", "2")
    assert "not there yet (hi dev, hi test, hi train, hi unlabelled)" in row(text, "prepare")
    assert row(text, "prepare").split()[1] == "4"
    assert "settings.updates: 6 → 7 (es crf 0)" in text
    assert "follows from the above (es crf 0 train, es crf 0 unlabelled)" in text
    assert 'languages: ["en", "es"] → ["en", "es", "hi"] (baseline 0, posterior 0, structural 0)' in text
    assert "unknown" not in text
    assert 'languages: ["en", "es", "de"] → ["en", "es", "hi", "de"] (en crf 0, es crf 0)' in text
    assert "s* of work, on 2 cores about" in text and "more on the disk, of" in text
    starred = [line.split()[0] for line in text.splitlines() if "*" in line and "of work" not in line]
    assert starred == ["train_teacher", "*"]  # every other time is from this experiment with these settings


def test_a_plan_says_why_targets_are_made_again_and_that_code_changed(finished: Project, tmp_path: Path):
    values = experiment()
    values["distill"]["k"] = 5
    assert "distill.k: 4 → 5 (en crf train, es crf train, es crf unlabelled)" in output(
        finished, "plan", str(finished.write(values)), "targets"
    )
    edited = finished.copy(tmp_path / "project")
    edited.sources = edited.path / "src"
    with (edited.path / "src/tagdistill/reporting/report.py").open("a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    assert "tagdistill's code changed" in row(output(edited, "plan", str(edited.write(experiment()))), "report")


def test_a_plan_without_anything_to_do_or_with_a_mistake_says_so(finished: Project):
    config = str(finished.write(experiment()))
    assert output(finished, "plan", config) == "Nothing to do: every result is there and up to date.\n"
    for arguments, says in (
        (("plan", "none.yaml"), "error: none.yaml: cannot be read: No such file or directory"),
        (("plan", config, "techers"), "No rule to produce techers"),
    ):
        done = tagdistill(finished, *arguments)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_times_of_other_experiments_are_marked(finished: Project):
    text = output(finished, "plan", str(finished.write(experiment() | {"name": "other", "limit": {"train": 5}})))
    assert row(text, "prepare").split()[2:4] == [row(text, "prepare").split()[2], "s*"]
    assert "* of other settings" in text and "* on the disk" not in text
    text = output(finished, "plan", str(finished.write(experiment() | {"encoder": {"provider": "wheel"}})))
    assert "B*" in row(text, "convert_encoder") and "B*" in row(text, "encode")  # of the random encoder
    assert "* on the disk: as much as another encoder" in text


@pytest.fixture
def cluttered(copied: Project) -> Project:
    copied.sources = copied.path / "src"
    (copied.path / "study.yaml").write_text(copied.write(experiment()).read_text(encoding="utf-8"), encoding="utf-8")
    for folder in (
        "resources/data/ud/Old-GSD/r2.1",
        f"results/shared/features/old-tap1-mean/en/{OLD}",
        f"results/shared/targets/en/crf/{OLD}",
        f"results/shared/students/baseline/seed-0/{OLD}/model",
    ):
        (copied.path / folder).mkdir(parents=True)
        (copied.path / folder / "file").write_text("x" * 5000, encoding="utf-8")
    for folder in ("resources/encoders/wheel-old-1234", "resources/vectors/wiki-nl-1234"):
        (copied.path / folder).mkdir(parents=True)
        (copied.path / folder / "tagdistill.json").write_text("{}", encoding="utf-8")
    (copied.path / "resources/data/checksums.sha256").write_text("", encoding="utf-8")
    left = copied.path / "results/tiny/.old.99999999.tmp"
    left.write_text("half", encoding="utf-8")
    os.utime(left, (1e9, 1e9))
    (copied.path / "results/tiny/.new.99999999.tmp").write_text("perhaps of another machine", encoding="utf-8")
    (copied.path / "resources/encoders/link").symlink_to(copied.path / "data")
    return copied


def files(project: Project) -> set[str]:
    of_programs = {".snakemake", "__pycache__"}
    return {
        str(p.relative_to(project.path))
        for p in project.path.rglob("*")
        if p.is_file() and of_programs.isdisjoint(p.parts)
    }


def test_clean_lists_what_no_config_uses_and_removes_it_when_told(cluttered: Project):
    before = files(cluttered)
    listed = output(cluttered, "clean", "config/tiny.yaml")  # it is looked at once, and study.yaml unnamed
    count = len([*(cluttered.path / "config").rglob("*.yaml"), "study.yaml"])
    assert listed.startswith(f"looked at {count} configs in config/ and beside it, and none elsewhere")
    *items, again, unknown, models, _ = listed.splitlines()[1:]
    assert unknown.startswith("note: ") and "configs whose data is not here" in unknown
    assert again.startswith("a run that needs them again: downloads of 5 kB, 1 convert_encoder job, 1 convert_vectors")
    assert "1 encode job (about" in again and "1 export_targets job (about" in again
    assert models == "5 kB of them are models and what was made of them: they stay without --models"
    assert [line.split()[2] for line in items] == [
        "resources/encoders/wheel-old-1234",
        "resources/data/ud/Old-GSD",
        "resources/vectors/wiki-nl-1234",
        "results/shared/features/old-tap1-mean",
        f"results/shared/targets/en/crf/{OLD}",
        "results/tiny/.old.99999999.tmp",
        f"results/shared/students/baseline/seed-0/{OLD}",
    ]
    assert files(cluttered) == before
    assert "removed: " in output(cluttered, "clean", "--yes")
    gone = before - files(cluttered)
    assert gone == {
        "resources/encoders/wheel-old-1234/tagdistill.json",
        "resources/data/ud/Old-GSD/r2.1/file",
        "resources/vectors/wiki-nl-1234/tagdistill.json",
        f"results/shared/features/old-tap1-mean/en/{OLD}/file",
        f"results/shared/targets/en/crf/{OLD}/file",
        "results/tiny/.old.99999999.tmp",
    }
    assert (cluttered.path / "data/en/train.conll").exists()  # behind a link
    assert cluttered.plan(experiment()).jobs == []
    assert "they stay without --models" in output(cluttered, "clean")
    assert "removed: 5 kB" in output(cluttered, "clean", "--yes", "--models")
    assert not (cluttered.path / f"results/shared/students/baseline/seed-0/{OLD}").exists()
    assert "Nothing: every encoder" in output(cluttered, "clean")
    assert cluttered.plan(experiment()).jobs == []


def test_clean_removes_nothing_while_a_run_is_going_on_or_a_config_is_broken(cluttered: Project):
    before = files(cluttered)
    locks = cluttered.path / ".snakemake/locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text("results/tiny/report/index.html\n", encoding="utf-8")
    done = tagdistill(cluttered, "clean", "study.yaml", "--yes")
    assert (done.returncode, "a run is going on" in done.stderr) == (1, True)
    (locks / "0.output.lock").unlink()
    (cluttered.path / "broken.yaml").write_text("task: ner\n", encoding="utf-8")
    done = tagdistill(cluttered, "clean", "--yes")
    assert (done.returncode, "broken.yaml: name: this key is needed" in done.stderr) == (1, True)
    assert files(cluttered) - {"broken.yaml"} == before


def test_the_end_of_a_run_names_exported_students_of_an_earlier_config(copied: Project):
    older = copied.path / "results/tiny/export/baseline/seed-0"
    older.mkdir(parents=True)
    values = experiment()
    values["distill"]["objectives"] = ["baseline"]
    done = copied.run(values)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Exported before, of other settings, data or code: results/tiny/export/baseline/seed-0." in done.stdout
    written = copied.run(values, "export", "report", "--forcerun", "report")
    assert written.returncode == 0, written.stdout[-4000:]
    assert (older / "tagger.json").exists() and "Exported before" not in written.stdout
