"""Experiments share what they make: a second one, and a setting that comes back, find what is there."""

from __future__ import annotations

import shutil
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from projects import Project, experiment, output

MADE_ONCE = {"convert_encoder", "prepare", "data_report", "repeats", "encode", "train_teacher", "score"}


def second(**distill: Any) -> dict[str, Any]:
    """Return an experiment that differs from the finished one in its name and in how it distils."""
    values = experiment() | {"name": "second"}
    values["distill"] |= distill
    return values


def everything(project: Project) -> dict[str, str | float]:
    """Return what links lead to, and when files were written."""
    found = sorted((project.path / "results").rglob("*"))
    return {str(x): str(x.readlink()) if x.is_symlink() else x.stat().st_mtime for x in found}


def test_an_experiment_that_distils_otherwise_makes_nothing_of_its_teachers_again(finished: Project):
    before = everything(finished)
    jobs = finished.plan(second(temperature=0.5))
    assert jobs.count == {"train_student": 1, "evaluate_student": 1, "report": 1}
    assert jobs.of("train_student", "objective") == [("posterior",)]  # no other is tempered
    jobs = finished.plan(second(k=5))
    assert jobs.count == {"export_targets": 3, "train_student": 1, "evaluate_student": 1, "report": 1}
    assert finished.plan(second()).count == {"report": 1}
    assert everything(finished) == before  # a plan writes nothing, no links either


def test_a_sweep_trains_its_teachers_once(fresh: Project):
    sweep = [second(temperature=(number + 1) / 10) | {"name": f"sweep-{number}"} for number in range(10)]
    for values in sweep:
        values["languages"]["en"] = {"source": "demo"}
    planned = [fresh.plan(values) for values in (sweep[0], sweep[4], sweep[9])]
    shared, own = ([{x for job in jobs.jobs if (job.rule in MADE_ONCE) is of for x in job.output} for jobs in planned]
                   for of in (True, False))  # fmt: skip
    assert shared[0] == shared[1] == shared[2] and len({file for file in shared[0] if file.endswith("/model")}) == 2
    students = [{file for file in files if "/students/" in file and file.endswith("/model")} for files in own]
    assert len(students[0] & students[1] & students[2]) == 2 and len(students[0] | students[1] | students[2]) == 5


def test_a_second_experiment_is_made_of_the_results_of_the_first_and_keeps_them(copied: Project):
    copied.sources = copied.path / "src"
    first, other = (copied.path / f"{name}.yaml" for name in ("first", "second"))
    for file, values in ((first, experiment()), (other, second(temperature=0.5))):
        file.write_text(copied.write(values).read_text(encoding="utf-8"), encoding="utf-8")
    text = output(copied, "plan", str(other))
    assert "shared with tiny: 8 prepare, 3 data_report, 1 repeats, 3 encode, 2 train_teacher, 3 score," in text
    done = copied.snakemake(other, "--cores", "2")
    assert done.returncode == 0, done.stdout[-4000:]
    assert copied.plan(other).jobs == copied.plan(first).jobs == []
    places = [Path("teachers/en/crf/seed-0/model"), Path("metrics/students/posterior/seed-0/en.json")]
    same, differ = ([(copied.path / "results" / name / x).resolve() for name in ("tiny", "second")] for x in places)
    assert same[0] == same[1] and differ[0] != differ[1] and all(map(Path.exists, (*same, *differ)))
    page = (copied.path / "results/second/report/index.html").read_text(encoding="utf-8")
    assert "train_teacher" in page  # its time is told, though this experiment trained none
    # Without its config the first experiment loses what is its own alone.
    first.unlink()
    (copied.path / "config/tiny.yaml").unlink()  # of the same name
    assert "posterior" in output(copied, "clean") and "they stay without --models" in output(copied, "clean")
    output(copied, "clean", "--yes", "--models")
    assert [path.exists() for path in (*same, *differ)] == [True, True, False, True]
    assert copied.plan(other).jobs == []
    assert copied.plan(experiment()).jobs == []  # its report is there
    assert copied.plan(experiment(), "zero_shot").count == {"train_student": 1, "evaluate_student": 1}


def test_settings_that_come_back_find_their_results_and_the_links_follow(copied: Project):
    place = "results/tiny/targets/en/crf/train.parquet"
    (copied.path / "results/tiny/notes.txt").write_text("the user's own", encoding="utf-8")
    old = (copied.path / place).resolve()
    values = experiment()
    values["distill"]["k"] = 5
    asked = copied.plan(values, place)
    assert asked.count == {"export_targets": 1} and {"show", "links"} <= {job.rule for job in asked.jobs}
    done = copied.run(values, place)
    assert done.returncode == 0, done.stdout[-4000:]
    new = (copied.path / place).resolve()
    assert new != old and new.is_file() and old.is_file()
    assert "distill.k: 5 → 4" not in output(copied, "plan", str(copied.write(experiment())))
    assert {job.rule for job in copied.plan(experiment(), "targets").jobs} == {"links", "targets"}
    assert copied.plan(experiment()).count == {"report": 1}  # which is of k = 4, and would be of what is shown
    assert copied.run(experiment(), "targets").returncode == 0
    assert (copied.path / place).resolve() == old
    assert copied.plan(experiment()).jobs == []
    assert (copied.path / "results/tiny/notes.txt").exists()


def test_links_that_are_lost_come_back_and_no_model_is_made_again(copied: Project):
    shutil.rmtree(copied.path / "results/tiny/students")
    assert copied.plan(experiment()).count == {"report": 1}
    done = copied.run(experiment())
    assert done.returncode == 0, done.stdout[-4000:]
    assert (copied.path / "results/tiny/students/posterior/seed-0/model/config.json").is_file()
    assert copied.plan(experiment()).jobs == []


def test_a_report_whose_links_moved_is_made_of_all_results_also_of_those_that_were_removed(copied: Project):
    changed = experiment()
    changed["distill"]["k"] = 5
    assert copied.run(changed, "results/tiny/targets/en/crf/train.parquet").returncode == 0
    for place in ("students/posterior/seed-0", "metrics/students/posterior/seed-0"):
        shutil.rmtree(copied.path / "results/shared" / place)
    assert copied.plan(experiment()).count == {"train_student": 1, "evaluate_student": 1, "report": 1}
    jobs = copied.plan(experiment(), "export").count
    assert jobs == {"train_student": 1, "evaluate_student": 1, "report": 1, "export_student": 3}


def test_a_kill_in_the_last_moment_of_the_links_hides_no_job_of_the_next_run(copied: Project):
    record = "results/tiny/made_of.jsonl"
    marks = copied.path / ".snakemake/incomplete"  # Snakemake's own, of jobs that have begun and not ended
    (marks / urlsafe_b64encode(record.encode()).decode()).write_text('{"external_jobid": null}', encoding="utf-8")
    shutil.rmtree(copied.real("metrics/students/baseline/seed-0/en.json").parent)
    jobs = copied.plan(experiment() | {"seeds": [0, 1]})
    assert jobs.count["evaluate_student"] == 4 and jobs.count["report"] == 1
    asked = experiment()
    asked["evaluate"] = {"decode": "unconstrained"}
    assert copied.plan(asked).count["evaluate_student"] == 3
    assert copied.plan(experiment(), "zero_shot").count == {"evaluate_student": 1}


@pytest.mark.parametrize("command", ["plan", "snakemake"])
def test_results_of_an_earlier_version_are_refused_before_anything_runs_and_stay(command: str, copied: Project):
    copied.sources = copied.path / "src"
    link = copied.path / "results/tiny/teachers/en/crf/seed-0/model"
    earlier = link.resolve()
    link.unlink()
    shutil.copytree(earlier, link)
    before = everything(copied)
    config = copied.write(experiment())
    if command == "plan":
        with pytest.raises(AssertionError) as caught:
            output(copied, "plan", str(config))
        said = str(caught.value)
    else:
        done = copied.snakemake(config, "--cores", "2")
        assert done.returncode == 1
        said = done.stdout
    assert "results/tiny/teachers/en/crf/seed-0/model: this is no link to a shared result" in said
    assert "rename results/tiny; else delete it" in said and "Traceback" not in said
    assert everything(copied) == before
    (copied.path / "results/tiny").rename(copied.path / "results/tiny-earlier")
    assert copied.plan(experiment()).count == {"report": 1}  # all else is shared


def test_two_runs_that_want_the_same_teacher_are_not_mixed(copied: Project):
    teacher = copied.real("teachers/es/crf/seed-0/model")
    shutil.rmtree(teacher)
    locks = copied.path / ".snakemake/locks"  # as another Snakemake, which trains this teacher, holds it
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text(f"{teacher.relative_to(copied.path)}\n", encoding="utf-8")
    before = everything(copied)
    done = copied.run(second(), "teachers")
    assert done.returncode == 1
    assert "lock" in done.stdout.lower() and "Traceback" not in done.stdout
    assert everything(copied) == before


def test_a_key_that_the_config_does_not_make_is_refused(copied: Project):
    done = copied.snakemake(copied.write(experiment()), f"results/shared/data/es/{'0' * 16}/train.parquet", "-n")
    assert done.returncode == 1
    assert f"the config tiny has no result {'0' * 16}" in done.stdout and "Traceback" not in done.stdout
    done = copied.snakemake(copied.write(experiment()), "results/tiny/data/es/none.parquet", "-n")
    assert done.returncode == 1
    assert "the config tiny has no result data/es/none.parquet" in done.stdout and "Traceback" not in done.stdout
