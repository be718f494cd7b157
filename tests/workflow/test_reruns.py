"""After a finished run, a change plans the jobs that depend on it and no others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from projects import BIG, Jobs, Project, experiment

from tagdistill.data.corpus import read_corpus

STUDENTS = {"baseline", "posterior", "structural"}


def students(jobs: Jobs) -> set[str]:
    return {objective for (objective,) in jobs.of("train_student", "objective")}


def test_nothing_is_left_to_do_after_a_finished_run(finished: Project):
    assert finished.plan(experiment()).jobs == []


def test_a_finished_project_may_be_moved(copied: Project):
    assert copied.plan(experiment()).jobs == []


def test_a_new_language_trains_its_own_teacher_and_the_students(finished: Project):
    values = experiment()
    values["languages"]["hi"] = {"source": "demo"}
    jobs = finished.plan(values)
    assert jobs.count == {
        "prepare": 4,
        "data_report": 1,
        "repeats": 1,
        "encode": 1,
        "train_teacher": 1,
        "score": 2,
        "export_targets": 2,
        "train_student": 3,
        "evaluate_student": 3,
        "evaluate_teacher": 3,  # all teachers are scored on all languages
        "report": 1,
    }
    for rule in ("prepare", "data_report", "encode", "train_teacher", "score", "export_targets"):
        assert jobs.of(rule, "lang") == [("hi",)] * jobs.count[rule]


def test_with_teachers_scored_on_their_own_language_a_new_one_evaluates_its_own_teacher_alone(finished: Project):
    values = experiment()
    values["evaluate"] = {"teachers": "own"}
    before = finished.plan(values)
    assert before.count == {"evaluate_teacher": 2, "report": 1}
    values["languages"]["hi"] = {"source": "demo"}
    # The two that the setting itself plans, and the new one.
    assert finished.plan(values).of("evaluate_teacher", "lang") == [("en",), ("es",), ("hi",)]


def test_a_removed_language_trains_the_students_anew_and_no_teacher(finished: Project):
    values = experiment()
    del values["languages"]["es"]
    jobs = finished.plan(values)
    assert jobs.count == {"repeats": 1, "train_student": 3, "evaluate_student": 3, "evaluate_teacher": 1, "report": 1}


def test_a_new_zero_shot_language_is_prepared_and_evaluated(finished: Project):
    values = experiment()
    values["zero_shot"]["fr"] = {"source": "demo"}
    jobs = finished.plan(values)
    assert jobs.count == {
        "prepare": 1,
        "data_report": 1,
        "repeats": 1,
        "encode": 1,
        "evaluate_student": 3,
        "evaluate_teacher": 2,
        "report": 1,
    }
    assert jobs.of("prepare", "lang", "split") == [("fr", "test")]


def test_another_k_exports_targets_and_trains_the_students_that_read_them(finished: Project):
    values = experiment()
    values["distill"]["k"] = 5
    jobs = finished.plan(values)
    assert jobs.count == {"export_targets": 3, "train_student": 1, "evaluate_student": 1, "report": 1}
    assert students(jobs) == {"posterior"}


def test_another_temperature_trains_the_tempered_students_alone(finished: Project):
    values = experiment()
    values["distill"]["temperature"] = 0.5
    jobs = finished.plan(values)
    assert jobs.count == {"train_student": 1, "evaluate_student": 1, "report": 1}
    assert students(jobs) == {"posterior"}


def test_another_weight_of_the_teacher_leaves_the_baseline(finished: Project):
    values = experiment()
    values["distill"]["anneal"] = {"from": 0.5, "to": 0.5}
    jobs = finished.plan(values)
    assert students(jobs) == {"posterior", "structural"}
    assert set(jobs.count) == {"train_student", "evaluate_student", "report"}


def test_another_share_of_unlabelled_text_leaves_the_baseline(finished: Project):
    values = experiment()
    values["distill"]["unlabelled_ratio"] = 0.5
    assert students(finished.plan(values)) == {"posterior", "structural"}


OWN_SETTINGS = {"name": "posterior-T2.25", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0}


@pytest.mark.parametrize("entry", ["top_k", OWN_SETTINGS], ids=["a name", "own settings"])
def test_a_new_objective_trains_its_own_student(entry: Any, finished: Project):
    values = experiment()
    values["distill"]["objectives"].append(entry)
    jobs = finished.plan(values)
    assert jobs.count == {"train_student": 1, "evaluate_student": 1, "report": 1}
    assert students(jobs) == {entry if isinstance(entry, str) else entry["name"]}


def test_an_objective_of_another_kind_of_teacher_trains_those_teachers_too(finished: Project):
    values = experiment()
    values["distill"]["objectives"].append("token")
    jobs = finished.plan(values)
    assert jobs.count == {
        "train_teacher": 2,
        "score": 3,
        "export_targets": 3,
        "train_student": 1,
        "evaluate_student": 1,
        "evaluate_teacher": 2,
        "report": 1,
    }
    assert {decoder for (decoder,) in jobs.of("train_teacher", "decoder")} == {"softmax"}
    assert students(jobs) == {"token"}


def test_a_new_seed_trains_one_more_student_an_objective(finished: Project):
    values = experiment()
    values["seeds"] = [0, 1]
    jobs = finished.plan(values)
    assert jobs.count == {"train_student": 3, "evaluate_student": 3, "report": 1}
    assert {seed for (seed,) in jobs.of("train_student", "seed")} == {"1"}


def test_a_new_teacher_seed_shows_the_spread_and_teaches_nobody(finished: Project):
    values = experiment()
    values["teacher"]["seeds"] = [0, 1]
    jobs = finished.plan(values)
    assert jobs.count == {"train_teacher": 2, "evaluate_teacher": 2, "report": 1}
    assert {seed for (seed,) in jobs.of("train_teacher", "seed")} == {"1"}


def test_a_teacher_setting_of_one_language_trains_that_teacher(finished: Project):
    values = experiment()
    values["languages"]["es"]["teacher"] = {"updates": 7}
    jobs = finished.plan(values)
    assert jobs.count == {
        "train_teacher": 1,
        "score": 2,
        "export_targets": 2,
        "train_student": 2,
        "evaluate_student": 2,
        "evaluate_teacher": 1,
        "report": 1,
    }
    for rule in ("train_teacher", "score", "export_targets", "evaluate_teacher"):
        assert {language for (language,) in jobs.of(rule, "lang")} == {"es"}
    assert students(jobs) == {"posterior", "structural"}


def test_a_student_setting_trains_students_alone(finished: Project):
    values = experiment()
    values["student"]["updates"] = 9
    assert finished.plan(values).count == {"train_student": 3, "evaluate_student": 3, "report": 1}


def test_another_cap_on_one_split_prepares_that_split_alone(finished: Project):
    values = experiment()
    values["limit"]["test"] = 7
    jobs = finished.plan(values)
    assert jobs.of("prepare", "lang", "split") == [("de", "test"), ("en", "test"), ("es", "test")]
    assert not jobs.count["train_teacher"] and not jobs.count["train_student"]


def test_other_decoding_trains_the_models_that_dev_chooses_and_reads_no_data_again(finished: Project):
    values = experiment()
    values["evaluate"] = {"decode": "unconstrained"}
    jobs = finished.plan(values)
    assert {"train_teacher", "train_student", "evaluate_teacher", "evaluate_student", "report"} <= set(jobs.count)
    assert not {"prepare", "encode", "data_report"} & set(jobs.count)


def test_another_kernel_replans_all_that_is_computed_with_it(finished: Project):
    planned = finished.plan(experiment() | {"kernel": "compiled"}).count
    assert {"train_teacher", "export_targets", "train_student", "evaluate_student", "report"} <= planned.keys()
    assert not {"prepare", "encode", "convert_encoder"} & planned.keys()


@pytest.mark.parametrize("change", [{"device": "auto"}, {"languages": {"licence": "CC0"}}], ids=["device", "licence"])
def test_where_a_job_runs_and_what_only_the_report_reads_train_nothing(change: dict[str, Any], finished: Project):
    values = experiment()
    for language in values["languages"].values():
        language |= change.get("languages", {})
    values |= {key: value for key, value in change.items() if key != "languages"}
    assert finished.plan(values).count == {"report": 1}


def test_an_encoder_in_a_folder_is_known_by_what_it_holds(copied: Project, tmp_path: Path):
    (source,) = (copied.path / "resources/encoders").iterdir()
    model = tmp_path / "models" / "small"
    shutil.copytree(source, model, ignore=shutil.ignore_patterns("tagdistill.json", ".snakemake*"))
    values = experiment()
    values |= {"root": str(tmp_path), "encoder": {"provider": "path", "id": "models/small", "tap": 2}}
    shutil.copytree(copied.path / "data", tmp_path / "data")

    def converted() -> list[str]:
        jobs = copied.plan(values, "teachers").jobs
        return [file for job in jobs if job.rule == "convert_encoder" for file in job.output]

    (folder,) = converted()
    done = copied.run(values, folder)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (copied.path / folder / "model.safetensors").is_file()
    for file in model.iterdir():
        file.touch()
    model.rename(tmp_path / "small")  # touched and moved, and the same model
    values["encoder"]["id"] = "small"
    assert converted() == []
    config = tmp_path / "small/config.json"
    aged(config, config.read_text(encoding="utf-8").replace("{", "{ ", 1))
    assert len(converted()) == 1 and converted() != [folder]


def test_another_experiment_shares_the_encoder_and_leaves_this_one_alone(finished: Project):
    values = experiment()
    values |= {"name": "other", "limit": {"train": 5}, "seeds": [3]}
    jobs = finished.plan(values)
    assert jobs.count["train_teacher"] == 2 and jobs.count["prepare"] == 8
    assert "convert_encoder" not in jobs.count
    places = ("results/other/", "results/shared/")
    assert all(file.startswith(places) for job in jobs.jobs for file in job.output)
    assert finished.plan(experiment()).jobs == []


# -- files


def assert_english_again(jobs: Jobs) -> None:
    assert jobs.of("prepare", "lang", "split") == [("en", "train")]
    assert jobs.of("encode", "lang") == [("en",)]
    assert jobs.of("train_teacher", "lang") == [("en",)]
    assert students(jobs) == STUDENTS


def aged(path: Path, text: str) -> None:
    """Replace a file by another that is older than the results, as unpacking or `cp -p` does."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1e9, 1e9))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_touched_file_plans_nothing_whatever_its_size(split: str, copied: Project):
    path = copied.path / "data/en" / f"{split}.conll"
    assert (path.stat().st_size > BIG) == (split == "train")
    path.touch()
    assert copied.plan(experiment()).jobs == []


def test_a_changed_file_prepares_its_split_and_what_follows(copied: Project):
    path = copied.path / "data/en/train.conll"
    path.write_text("Ada S-PER\nsings O\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert_english_again(copied.plan(experiment()))


def test_a_changed_file_is_seen_even_if_it_is_older_than_the_results(copied: Project):
    path = copied.path / "data/en/train.conll"
    aged(path, "Ada S-PER\nsings O\n\n" + path.read_text(encoding="utf-8"))
    assert_english_again(copied.plan(experiment()))


def test_a_changed_test_file_trains_nothing(copied: Project):
    path = copied.path / "data/en/test.conll"
    path.write_text("Ada S-PER\nsings O\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert copied.plan(experiment()).count == {
        "prepare": 1,
        "data_report": 1,
        "repeats": 1,
        "encode": 1,
        "evaluate_student": 3,
        "evaluate_teacher": 2,
        "report": 1,
    }


def test_test_sentences_may_be_left_out_of_training_text(copied: Project):
    path = copied.path / "data/en/test.conll"
    first = (copied.path / "data/en/train.conll").read_text(encoding="utf-8").split("\n\n")[0]
    path.write_text(first + "\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    values = experiment() | {"exclude_test_repeats": True}
    prepared = copied.plan(values).of("prepare", "lang", "split")
    texts = [(language, split) for language in ("en", "es") for split in ("train", "unlabelled")]
    assert prepared == sorted([("en", "test"), *(pair for pair in texts if pair != ("en", "unlabelled"))])
    train = "results/tiny/data/en/train.parquet"
    done = copied.run(values, train)
    assert done.returncode == 0, done.stdout[-4000:]
    corpus = read_corpus(copied.path / train)
    assert corpus.metadata["notes"]["sentences of test sets left out"]["count"] > 0
    assert [line.split(" ")[0] for line in first.splitlines()] not in corpus.tokens


def test_results_that_are_touched_plan_nothing(copied: Project):
    for file in sorted((copied.path / "results").rglob("*.parquet"), reverse=True):
        file.touch()
    for file in (copied.path / "results").rglob("*.safetensors"):
        if "features" in file.parts:
            file.touch()
    assert copied.plan(experiment()).jobs == []


def test_a_lost_target_is_made_again(copied: Project):
    shutil.rmtree(copied.real("students/posterior/seed-0/model"))
    copied.real("targets/es/crf/train.parquet").unlink()
    jobs = copied.plan(experiment(), "students")
    assert jobs.count["train_teacher"] == jobs.count["score"] == 0
    assert jobs.of("export_targets", "lang", "corpus") == [("es", "train")]
    assert students(jobs) == {"posterior"}


# -- the same content, wherever it lies


def test_data_below_another_root_is_the_same_data(finished: Project, tmp_path: Path):
    shutil.copytree(finished.path / "data", tmp_path / "mount/data")
    assert finished.plan(experiment() | {"root": str(tmp_path / "mount")}).jobs == []
    values = experiment()
    (tmp_path / "mount/data/en").rename(tmp_path / "mount/data/english")
    for split in ("train", "dev", "test"):
        values["languages"]["en"][split] = f"data/english/{split}.conll"
    assert finished.plan(values | {"root": str(tmp_path / "mount")}).jobs == []


def test_a_comment_in_the_config_plans_nothing(finished: Project):
    file = finished.write(experiment())
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8") + "# and another\n", encoding="utf-8")
    assert finished.plan(file).jobs == []


ONE_MORE_SEED = {"train_student": 3, "evaluate_student": 3, "report": 1}


def with_one_more_seed() -> dict[str, Any]:
    return experiment() | {"seeds": [0, 1]}


def test_an_encoder_that_is_converted_again_plans_nothing(copied: Project):
    (encoder,) = (copied.path / "resources/encoders").iterdir()
    weights = (encoder / "model.safetensors").read_bytes()
    shutil.rmtree(copied.path / "resources")
    assert copied.plan(experiment()).jobs == []
    assert copied.plan(with_one_more_seed()).count == ONE_MORE_SEED | {"convert_encoder": 1}  # the report names it
    done = copied.snakemake(copied.write(experiment()), str(encoder.relative_to(copied.path)), "--cores", "1")
    assert done.returncode == 0, done.stdout[-4000:]
    assert (encoder / "model.safetensors").read_bytes() == weights
    assert copied.plan(experiment()).jobs == []


def test_features_that_were_removed_are_made_again_for_those_who_need_them(copied: Project):
    shutil.rmtree(copied.path / "results/shared/features")
    assert copied.plan(experiment()).jobs == []
    jobs = copied.plan(with_one_more_seed())
    assert jobs.count == ONE_MORE_SEED | {"encode": 3}
    assert {seed for (seed,) in jobs.of("train_student", "seed")} == {"1"}
    done = copied.run(experiment() | {"seeds": [0, 1], "distill": {"objectives": ["baseline"]}}, "students")
    assert done.returncode == 0, done.stdout[-4000:]
    # The stores are newer than the models, and the same; the links are of what ran last.
    assert copied.plan(experiment()).count == {"report": 1}


def test_features_depend_on_tokens_alone(finished: Project):
    values = experiment()
    values["labels"] = values["labels"][::-1]
    jobs = finished.plan(values)
    assert jobs.count["prepare"] == 8 and jobs.count["train_teacher"] == 2 and jobs.count["encode"] == 0
    values = experiment()
    values["languages"]["en"]["label_map"] = {"PERSON": "PER"}
    jobs = finished.plan(values)
    assert jobs.of("train_teacher", "lang") == [("en",)] and jobs.count["encode"] == 0


def test_a_forced_job_gets_all_of_its_inputs(copied: Project):
    shutil.rmtree(copied.path / "resources")
    jobs = copied.plan(experiment(), "--forcerun", "encode")
    assert jobs.count["convert_encoder"] == 1 and jobs.count["encode"] == 3


# -- code


def test_a_result_is_known_by_its_key_and_not_by_the_text_of_its_rule(copied: Project):
    for rules, old, new in (
        ("teacher", "/checkpoints", "/saved"),
        ("targets", 'option("--features",', 'option("--stores",'),
        ("evaluate", "mem_mb=memory(4000)", "mem_mb=memory(5000)"),
    ):
        file = copied.path / f"workflow/rules/{rules}.smk"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
    assert copied.plan(experiment()).jobs == []


def edited(project: Project, module: str, tmp_path: Path) -> Project:
    """Return the project with another copy of the package in which one module was edited."""
    sources = tmp_path / "sources"
    shutil.copytree(project.sources, sources)
    file = sources / "tagdistill" / module
    assert file.exists()
    file.write_text(file.read_text(encoding="utf-8") + "\nEDITED = True\n", encoding="utf-8")
    return Project(project.path, sources)


@pytest.mark.parametrize(
    ("module", "first", "never"),
    [
        ("reporting/report.py", {"report"}, {"evaluate_student", "train_student", "train_teacher", "prepare"}),
        ("evaluation/tables.py", {"report"}, {"evaluate_student", "train_student"}),
        (
            "evaluation/metrics/span_f1.py",
            {"evaluate_student", "evaluate_teacher", "report"},
            {"train_student", "score"},
        ),
        (
            "evaluation/metrics/accuracy.py",
            set(),
            {"evaluate_student", "evaluate_teacher", "report"},
        ),  # of another task
        ("crf/chain.py", {"train_teacher", "score", "export_targets", "train_student"}, {"prepare", "encode"}),
        ("distill/export_targets.py", {"export_targets", "train_student"}, {"train_teacher", "score"}),
        ("training/trainer.py", {"train_teacher", "train_student"}, {"prepare", "encode"}),
        ("encoders/states.py", {"encode", "train_teacher", "train_student"}, {"prepare", "data_report"}),
        ("data/readers/read.py", {"prepare", "encode", "train_teacher"}, set()),
        ("cli/main.py", set(), {"prepare", "train_teacher", "train_student", "report"}),
    ],
)
def test_an_edit_of_the_code_reruns_the_stages_that_run_it(
    module: str, first: set[str], never: set[str], finished: Project, tmp_path: Path
):
    jobs: Any = edited(finished, module, tmp_path).plan(experiment())
    assert first <= set(jobs.count)
    assert not never & set(jobs.count)
    assert first or not jobs.jobs
