"""Which downloads no config reads: whole folders, and never what lies beside a file that is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tagdistill.cli.main import app
from tagdistill.errors import ConfigError
from tagdistill.experiment.config import read_experiment
from tagdistill.experiment.plan import Plan
from tagdistill.workflow import estimates
from tagdistill.workflow.cleanup import Unused, configs_in_use, find_configs, old_students, unused
from tagdistill.workflow.cleanup_text import describe

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


def test_a_config_that_is_named_is_looked_at_beside_those_of_the_project_never_instead(tmp_path: Path):
    """A config elsewhere has a feature store here, and so has the project's own: both are in use."""
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    (project / "config/study.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({**CONFIG, "name": "mine"}), encoding="utf-8")
    key = next(iter(Plan(read_experiment(mine), project).specs.encoders()))
    for name in ("mine", "study", "gone"):
        (project / f"results/{name}/features/{key}/fr").mkdir(parents=True)
    unnamed, summary = configs_in_use([], project)
    assert [x.path.parts[-3:-1] for x in unused(unnamed, project)] == [("gone", "features"), ("mine", "features")]
    assert summary.startswith("looked at 1 config in config/ and beside it, and none elsewhere (name those")
    both, summary = configs_in_use([mine, project / "config/../config/study.yaml"], project)
    assert [x.path.parts[-3] for x in unused(both, project)] == ["gone"]
    assert summary == f"looked at 1 config in config/ and beside it, and {mine}"


def test_yaml_of_other_tools_beside_the_snakefile_is_no_config_and_a_broken_config_is_one(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    others = {".hooks.yaml": "repos: []", "site.yml": "site_name: x\nnav: []", "list.yaml": "[task]", "no.yaml": ""}
    broken = {"tab.yaml": "task:\tner\n  x", "typo.yaml": "languges: {}\ntask: ner"}
    for name, text in (others | broken).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [path.name for path in find_configs(tmp_path)] == ["study.yaml", *broken]
    with pytest.raises(ConfigError, match="not valid YAML"):
        unused(find_configs(tmp_path), tmp_path)


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
    store = tmp_path / "results/gone/features/key-tap6-mean"
    for split in ("train", "test"):
        sized(store / f"fr/{split}.safetensors")
    sized(store / "fr/.train.safetensors.12.tmp")
    files = {"convert_encoder": "encoders/e", "fetch": "data/ud/A", "convert_vectors": "vectors/v"}
    made = [Unused(sized(tmp_path / "resources" / x / "file").parent, "why", stage) for stage, x in files.items()]
    more = Unused(sized(tmp_path / "resources/data/hub/file").parent, "why", "fetch")
    return [*made, more, Unused(store, "why", "encode"), Unused(sized(tmp_path / "results/.x.1.tmp"), "left")]


def test_what_a_run_would_make_again_and_how_long_it_took(caches: list[Unused], tmp_path: Path):
    lines = describe(caches, tmp_path)
    assert lines[0] == "     1 kB  resources/encoders/e  (why)" and len(lines) == len(caches) + 1
    summary = (
        "a run that needs them again: downloads of 2 kB, 1 convert_encoder job, 1 convert_vectors job, 2 encode jobs"
    )
    assert lines[-1] == f"{summary} (time unknown)"
    for split, seconds in (("train", 90), ("test", 30)):
        sized(tmp_path / f"benchmarks/gone/encode/key-tap6-mean-fr-{split}.tsv", f"s\tx\n{seconds}\t0\n")
    estimates._benchmarks.cache_clear()
    assert describe(caches, tmp_path)[-1] == f"{summary} (about 2 min 0 s)"


def test_what_a_killed_job_left_is_never_made_again(caches: list[Unused], tmp_path: Path):
    assert describe(caches[-1:], tmp_path) == ["     1 kB  results/.x.1.tmp  (left)"]
    assert describe([], tmp_path) == []


def test_models_that_still_need_something_are_warned_of(tmp_path: Path):
    from tagdistill.encoders.keys import encoder_key, feature_key
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
        "encode": f"results/gone/features/{feature_key(settings)}/fr",
    }
    found = [Unused(sized(tmp_path / folder / "file").parent, "why", stage) for stage, folder in folders.items()]
    both = "2 models in results/gone, 1 model in results/other"
    assert [line for line in describe(found, tmp_path) if line.startswith("warning")] == [
        f"warning: {folders['convert_encoder']} is still needed by {both}, for labelling new text",
        f"warning: {folders['convert_vectors']} is still needed by {both}, for labelling new text",
        f"warning: {folders['encode']} is still needed by 2 models in results/gone, for training or scoring them again",
    ]
    other = Unused(sized(tmp_path / "resources/encoders/another/file").parent, "why", "convert_encoder")
    assert not [line for line in describe([other], tmp_path) if line.startswith("warning")]


def test_what_is_left_of_objectives_that_a_config_no_longer_has(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    config = {**CONFIG, "distill": {"objectives": ["baseline", {"name": "posterior-T2", "loss": "posterior"}]}}
    (tmp_path / "config/study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in ("study", "other"):
        for objective in ("baseline", "posterior-T2", "top_k"):
            for file in (
                f"students/{objective}/seed-0/model/config.json",
                f"export/{objective}/seed-0/config.json",
                f"predictions/students/{objective}/seed-0/fr.conll",
                f"metrics/students/{objective}/seed-0/fr.json",
                f"report/cards/{objective}-seed-0.md",
            ):
                path = tmp_path / "results" / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    gone = [
        f"results/study/{place}"
        for place in (
            "students/top_k",
            "export/top_k",
            "predictions/students/top_k",
            "metrics/students/top_k",
            "report/cards/top_k-seed-0.md",
        )
    ]
    found = old_students(find_configs(tmp_path), tmp_path)
    assert [str(item.path.relative_to(tmp_path)) for item in found] == gone
    assert unused(find_configs(tmp_path), tmp_path) == []
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["clean", "--yes"])
    assert all(path in listed.output for path in gone) and "they stay without --students" in listed.output
    assert all((tmp_path / path).exists() for path in gone)
    assert CliRunner().invoke(app, ["clean", "--yes", "--students"]).exit_code == 0
    assert not any((tmp_path / path).exists() for path in gone)
    assert (tmp_path / "results/study/students/posterior-T2/seed-0/model/config.json").exists()
    assert (tmp_path / "results/other/students/top_k/seed-0/model/config.json").exists()
