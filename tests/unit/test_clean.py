"""What no config uses: downloads as whole folders, results by their keys, and never what lies beside a used file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tagdistill.cli.main import app
from tagdistill.errors import ConfigError
from tagdistill.experiment import local_files
from tagdistill.experiment.config import read_experiment
from tagdistill.experiment.plan import Plan
from tagdistill.experiment.shared_files import Result
from tagdistill.workflow import estimates
from tagdistill.workflow.cleanup import (
    RESULT,
    Unused,
    configs_in_use,
    find_configs,
    unknown_results,
    unused,
    unused_models,
)
from tagdistill.workflow.cleanup_text import describe
from tagdistill.workflow.shown import RECORD, Shown
from tagdistill.workflow.unused_results import keyed, stage_of

KEYS = ["0" * 16, "1" * 16]
CONFIG = {
    "name": "study",
    "task": "pos",
    "labels": "upos",
    "languages": {"fr": {"source": "ud", "format": "conllu", "treebank": "French-GSD", "release": "r2.15"}},
    "teacher": {"updates": 1, "vectors": {"name": "wiki.fr"}},
    "student": {"updates": 1},
}


def test_downloads_beside_one_that_is_read_stay(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/study.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    data = tmp_path / "resources/data"
    for file in (
        "checksums.sha256",
        "ud/French-GSD/r2.15/train.conllu",
        "ud/French-GSD/r2.15/train.conllu.licence",
        "ud/French-GSD/r2.15/parts/0.conllu",
        "ud/French-GSD/r2.9/train.conllu",
        "ud/Swedish-LinES/r2.15/train.conllu",
        "hub/some/set/0123/train.parquet",
        "fasttext/wiki.fr.vec",
        "../vectors/wiki-nl-1234/tagdistill.json",
    ):
        path = data / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = unused(find_configs(tmp_path), tmp_path)
    assert [str(item.path.relative_to(data.parent)) for item in found] == [
        "data/hub",
        "data/ud/French-GSD/r2.9",
        "data/ud/Swedish-LinES",
        "vectors/wiki-nl-1234",
    ]


def test_what_the_user_put_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Own files below resources/ are not made again: neither those that a config names, in whatever way, nor others."""
    monkeypatch.chdir(tmp_path)
    files = {
        "train": "resources/data/ud/mine/train.conllu",
        "dev": "elsewhere/../resources/data/ud/mine2/dev.conllu",
        "test": str(tmp_path / "resources/data/ud/mine3/test.conllu"),
    }
    given = ["resources/encoders/my-bert/config.json", "resources/vectors/mine/my.vec"]
    for file in [*files.values(), *given, "elsewhere/x", "resources/data/notes/read.me", "resources/vectors/b.vec"]:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "resources/vectors/mine/tagdistill.json").touch()
    config = {**CONFIG, "languages": {"fr": {"format": "conllu", **files}}}
    config["teacher"] = {"updates": 1, "vectors": {"path": given[1]}}
    config["encoder"] = {"provider": "path", "id": "resources/encoders/my-bert"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "resources/data/ud/old").mkdir()
    found = unused(find_configs(tmp_path), tmp_path)
    assert [str(item.path.relative_to(tmp_path)) for item in found] == ["resources/data/ud/old"]


def test_a_left_over_name_with_a_number_that_is_no_process_stays(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    path = tmp_path / "results" / f".x.{'9' * 30}.tmp"
    path.parent.mkdir()
    path.touch()
    os.utime(path, (0, 0))
    assert unused(find_configs(tmp_path), tmp_path) == []


def plan_of(file: Path, project: Path, **changes: Any) -> Plan:
    """Write a config and return its plan."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({**CONFIG, **changes}), encoding="utf-8")
    return Plan(read_experiment(file), project)


def make(plan: Plan, project: Path, shown: bool = True) -> dict[str, Path]:
    """Write all results of a plan, with the record that a run leaves, and return the folder of each place."""
    results = list(plan.files.results())
    folders = {}
    for result in results:
        for place, file in zip(result.places, result.files, strict=True):
            sized(project / file / "config.json" if place.endswith("/model") else project / file)
            folders[place] = (project / file).parent
    if shown:
        links = Shown(plan.name, results)
        sized(project / links.record, links.text())
    return folders


def paths(found: list[Unused], project: Path) -> list[str]:
    return [str(item.path.relative_to(project)) for item in found]


def test_a_config_that_is_named_is_looked_at_beside_those_of_the_project_never_instead(tmp_path: Path):
    """A config elsewhere has results here, and so has the project's own: both are in use."""
    project = tmp_path / "project"
    study = make(plan_of(project / "config/study.yaml", project), project)
    mine = make(plan_of(tmp_path / "mine.yaml", project, name="mine", limit={"train": 5}), project)
    gone = make(plan_of(tmp_path / "gone.yaml", project, name="gone", limit={"train": 6}), project)
    train = "data/fr/train.parquet"
    assert len({folders[train] for folders in (study, mine, gone)}) == 3

    def corpora(*named: Path) -> list[Path]:
        return [
            item.path for item in unused(configs_in_use(named, project)[0], project) if "/data/fr/" in str(item.path)
        ]

    assert set(corpora()) >= {mine[train], gone[train]} and study[train] not in corpora()
    both = corpora(tmp_path / "mine.yaml", project / "config/../config/study.yaml")
    assert gone[train] in both and not {study[train], mine[train]} & set(both)
    summary = configs_in_use([], project)[1]
    assert summary.startswith("looked at 1 config in config/ and beside it, and none elsewhere (name those")
    summary = configs_in_use([tmp_path / "mine.yaml", project / "config/../config/study.yaml"], project)[1]
    assert summary == f"looked at 1 config in config/ and beside it, and {tmp_path / 'mine.yaml'}"


def test_results_that_a_config_makes_stay_whoever_made_them(tmp_path: Path):
    first = plan_of(tmp_path / "first.yaml", tmp_path, name="first")
    second = plan_of(tmp_path / "second.yaml", tmp_path, name="second", distill={"temperature": 0.5})
    made = {**make(first, tmp_path), **{f"second {x}": y for x, y in make(second, tmp_path, shown=False).items()}}
    assert unused(find_configs(tmp_path), tmp_path) == unused_models(find_configs(tmp_path), tmp_path) == []
    (tmp_path / "first.yaml").unlink()
    in_use = find_configs(tmp_path)
    assert unused(in_use, tmp_path) == []
    posterior = "students/posterior/seed-0"
    old = made[f"{posterior}/model"]
    assert old != made[f"second {posterior}/model"]
    found = {item.path: item.why for item in unused_models(in_use, tmp_path)}
    assert found[old] == "no config looked at makes this; shown in results/first"
    assert made["students/baseline/seed-0/model"] not in found  # the same student
    assert {path.parent.name for path in found} == {"seed-0"}


def test_models_that_an_experiment_shows_stay_until_it_shows_others(tmp_path: Path):
    """A config, or the code, may have changed since its last run: what results/NAME leads to is not removed."""
    file = tmp_path / "study.yaml"
    old = make(plan_of(file, tmp_path), tmp_path)
    model, targets = "students/posterior/seed-0/model", "targets/fr/crf/train.parquet"
    changed = plan_of(file, tmp_path, student={"updates": 2}, distill={"k": 3})
    assert unused_models([file], tmp_path) == []
    assert old[targets] in [item.path for item in unused([file], tmp_path)]  # they are made again in no time
    assert make(changed, tmp_path)[model] != old[model]
    assert old[model] in [item.path for item in unused_models([file], tmp_path)]


def test_a_language_that_no_config_has_goes_as_one_folder_and_models_are_apart(tmp_path: Path):
    languages = {"sv": {"source": "ud", "format": "conllu", "treebank": "Swedish-LinES", "release": "r2.15"}}
    make(plan_of(tmp_path / "study.yaml", tmp_path), tmp_path)
    make(plan_of(tmp_path / "gone", tmp_path, languages=languages), tmp_path, shown=False)
    caches, models = unused(find_configs(tmp_path), tmp_path), unused_models(find_configs(tmp_path), tmp_path)
    assert {"results/shared/data/sv", "results/shared/targets/sv"} <= set(paths(caches, tmp_path))
    assert "results/shared/teachers/sv" in paths(models, tmp_path)
    assert {item.why for item in (*caches, *models)} == {"no config makes this"}
    assert {item.path.relative_to(tmp_path).parts[2] for item in caches} == {"data", "features", "targets"}
    assert not any("/fr/" in path for path in paths(models, tmp_path) if "/teachers/" in path)


def test_results_of_a_config_whose_data_is_away_are_those_of_its_last_run(tmp_path: Path):
    files = {split: f"{split}.conllu" for split in ("train", "test")}
    for split in files:
        sized(tmp_path / files[split], f"1\t{split}\t_\tNOUN\n\n")
    languages = {"languages": {"fr": {"format": "conllu", **files}}}
    make(plan_of(tmp_path / "study.yaml", tmp_path, **languages), tmp_path)
    for split in files:
        (tmp_path / files[split]).rename(tmp_path / f"away-{split}")
    local_files._sha256.cache_clear()
    assert unused(find_configs(tmp_path), tmp_path) == unused_models(find_configs(tmp_path), tmp_path) == []
    # Nor is it known what the features of an encoder are whose folder is away.
    plan_of(tmp_path / "study.yaml", tmp_path, encoder={"provider": "path", "id": str(tmp_path / "none")})
    assert unused(find_configs(tmp_path), tmp_path) == []
    (tmp_path / "results/study" / RECORD).unlink()
    assert paths(unused(find_configs(tmp_path), tmp_path), tmp_path)[0] == "results/shared/data"


def test_yaml_of_other_tools_beside_the_snakefile_is_no_config_and_a_broken_config_is_one(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    others = {".hooks.yaml": "repos: []", "site.yml": "site_name: x\nnav: []", "list.yaml": "[task]", "no.yaml": ""}
    broken = {"tab.yaml": "task:\tner\n  x", "typo.yaml": "languges: {}\ntask: ner"}
    for name, text in (others | broken).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [path.name for path in find_configs(tmp_path)] == ["study.yaml", *broken]
    with pytest.raises(ConfigError, match="not valid YAML"):
        unused(find_configs(tmp_path), tmp_path)


def test_configs_in_json_and_behind_links_are_in_use_too(tmp_path: Path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "project" / "config"
    for place in (elsewhere / "deep", folder):
        place.mkdir(parents=True)
    sized(elsewhere / "deep" / "linked.yaml", yaml.safe_dump(CONFIG | {"name": "linked"}))
    sized(folder / "one.json", json.dumps(CONFIG | {"name": "one"}, indent=1))
    sized(folder / "schema.json", '{"properties": {"task": {}}}')
    (folder / "mine").symlink_to(elsewhere)
    (elsewhere / "deep" / "round").symlink_to(folder)
    found = find_configs(folder.parent)
    assert sorted(path.name for path in found) == ["linked.yaml", "one.json"]
    assert sorted(read_experiment(path).name for path in found) == ["linked", "one"]


def test_it_is_said_of_which_configs_nobody_knows_what_they_made(tmp_path: Path, monkeypatch):
    languages = {"fr": {"format": "conllu", "train": "gone.conllu", "test": "gone.conllu"}}
    for number in range(4):
        sized(tmp_path / f"{number}.yaml", yaml.safe_dump(CONFIG | {"name": f"of-{number}", "languages": languages}))
    [note] = unknown_results(find_configs(tmp_path), tmp_path)
    assert note.startswith("note: 4 configs whose data is not here, and of which no run left a record in results/: ")
    assert note.endswith("counts as unused (of-0, of-1, of-2 and 1 more)")
    made = Result("encode", "fr-train", KEYS[0], ("results/shared/features/fr/train",), ())
    Shown("of-3", [made], tmp_path).write()
    [fewer] = unknown_results(find_configs(tmp_path), tmp_path)
    assert fewer.endswith("(of-0, of-1, of-2)")
    (tmp_path / "results/of-3" / RECORD).unlink()
    sized(tmp_path / "gone.conllu", "1\tx\t_\tNOUN\n\n")
    local_files._sha256.cache_clear()
    assert unknown_results(find_configs(tmp_path), tmp_path) == []
    (tmp_path / "gone.conllu").unlink()
    sized(tmp_path / "results/shared/data/fr/0123456789abcdef/train.parquet")
    monkeypatch.chdir(tmp_path)
    assert note in CliRunner().invoke(app, ["clean"]).output


def test_the_projects_own_folder_can_be_cleaned():
    root = Path(__file__).parents[2]
    configs = find_configs(root)
    assert root / "config/config.yaml" in configs and root / "mkdocs.yml" not in configs
    assert all(read_experiment(path).name for path in configs)


def sized(path: Path, text: str = "x" * 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def caches(tmp_path: Path) -> list[Unused]:
    """An encoder, two downloads, word vectors and the features of two splits."""
    estimates._benchmarks.cache_clear()
    store = tmp_path / "results/shared/features/tiny-tap6-mean/fr"
    for key, split in zip(KEYS, ("train", "test"), strict=True):
        sized(store / key / f"{split}.safetensors")
    sized(store / KEYS[0] / ".train.safetensors.12.tmp")
    files = {"convert_encoder": "encoders/e", "fetch": "data/ud/A", "convert_vectors": "vectors/v"}
    made = [Unused(sized(tmp_path / "resources" / x / "file").parent, "why", stage) for stage, x in files.items()]
    more = Unused(sized(tmp_path / "resources/data/hub/file").parent, "why", "fetch")
    return [*made, more, Unused(store, "why", RESULT), Unused(sized(tmp_path / "results/.x.1.tmp"), "left")]


def test_what_a_run_would_make_again_and_how_long_it_took(caches: list[Unused], tmp_path: Path):
    lines = describe(caches, tmp_path)
    assert lines[0] == "     1 kB  resources/encoders/e  (why)" and len(lines) == len(caches) + 1
    summary = (
        "a run that needs them again: downloads of 2 kB, 1 convert_encoder job, 1 convert_vectors job, 2 encode jobs"
    )
    assert lines[-1] == f"{summary} (time unknown)"
    for key, split, seconds in zip(KEYS, ("train", "test"), (90, 30), strict=True):
        sized(tmp_path / f"benchmarks/shared/encode/tiny-tap6-mean-fr-{split}.{key}.tsv", f"s\tx\n{seconds}\t0\n")
    estimates._benchmarks.cache_clear()
    assert describe(caches, tmp_path)[-1] == f"{summary} (about 2 min 0 s)"


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("data/fr", "prepare"),
        ("features/e/fr", "encode"),
        ("teachers/fr/crf/seed-0", "train_teacher"),
        ("teachers/fr/crf/seed-0/scores", "score"),
        ("targets/fr/crf", "export_targets"),
        ("students/posterior/seed-0", "train_student"),
        ("metrics/students/posterior/seed-0", "evaluate_student"),
        ("predictions/teachers/fr/crf/seed-0", "evaluate_teacher"),
    ],
)
def test_the_stage_of_a_result_is_told_by_its_folder(folder: str, stage: str, tmp_path: Path):
    path = tmp_path / "results/shared" / folder / KEYS[0]
    path.mkdir(parents=True)
    assert stage_of(path) == stage and keyed(tmp_path / "results") == keyed(path) == [path]
    if stage == "prepare":
        assert stage_of(sized(path / "report.json").parent) == "data_report"


def test_what_a_killed_job_left_is_never_made_again(caches: list[Unused], tmp_path: Path):
    assert describe(caches[-1:], tmp_path) == ["     1 kB  results/.x.1.tmp  (left)"]
    assert describe([], tmp_path) == []


def test_models_that_still_need_something_are_warned_of(tmp_path: Path):
    from tagdistill.encoders.keys import encoder_key
    from tagdistill.encoders.vectors import vectors_key
    from tagdistill.settings.encoder import WordEncoder

    settings = WordEncoder.model_validate({"provider": "wheel", "vectors": {"name": "wiki.fr"}})
    config = json.dumps({"encoder": settings.model_dump(mode="json")})
    for seed in (0, 1):
        sized(tmp_path / f"results/gone/teachers/fr/crf/seed-{seed}/model/config.json", config)
    sized(tmp_path / "results/other/students/posterior/seed-0/model/config.json", config)
    sized(tmp_path / "results/other/students/posterior/seed-1/model/config.json", "{broken")
    assert settings.vectors
    folders = {
        "convert_encoder": f"resources/encoders/{encoder_key(settings)}",
        "convert_vectors": f"resources/vectors/{vectors_key(settings.vectors)}",
    }
    found = [Unused(sized(tmp_path / folder / "file").parent, "why", stage) for stage, folder in folders.items()]
    both = "2 models in results/gone, 1 model in results/other"
    assert [line for line in describe(found, tmp_path) if line.startswith("warning")] == [
        f"warning: {folders['convert_encoder']} is still needed by {both}, for labelling new text",
        f"warning: {folders['convert_vectors']} is still needed by {both}, for labelling new text",
    ]
    other = Unused(sized(tmp_path / "resources/encoders/another/file").parent, "why", "convert_encoder")
    assert not [line for line in describe([other], tmp_path) if line.startswith("warning")]


def test_what_is_left_of_objectives_that_a_config_no_longer_has(tmp_path, monkeypatch):
    config = {**CONFIG, "distill": {"objectives": ["baseline", {"name": "posterior-T2", "loss": "posterior"}]}}
    plan_of(tmp_path / "config/study.yaml", tmp_path, **config)
    for name in ("study", "other"):
        for objective in ("baseline", "posterior-T2", "top_k"):
            for file in (f"export/{objective}/seed-0/config.json", f"report/cards/{objective}-seed-0.md"):
                sized(tmp_path / "results" / name / file)
    sized(tmp_path / f"results/shared/students/top_k/seed-0/{KEYS[0]}/model/config.json")
    gone = ["results/shared/students/top_k", "results/study/export/top_k", "results/study/report/cards/top_k-seed-0.md"]
    assert paths(unused_models(find_configs(tmp_path), tmp_path), tmp_path) == gone
    assert unused(find_configs(tmp_path), tmp_path) == []
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["clean", "--yes"])
    assert all(path in listed.output for path in gone) and "they stay without --models" in listed.output
    assert all((tmp_path / path).exists() for path in gone)
    assert CliRunner().invoke(app, ["clean", "--yes", "--models"]).exit_code == 0
    assert not any((tmp_path / path).exists() for path in gone)
    assert (tmp_path / "results/study/export/posterior-T2/seed-0/config.json").exists()
    assert (tmp_path / "results/other/export/top_k/seed-0/config.json").exists()
