"""Which downloads no config reads: whole folders, and never what lies beside a file that is read."""

from __future__ import annotations

from pathlib import Path

import yaml

from tagdistill.clean import find_configs, unused

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
        "../vectors/wiki-nl-1234/vectors.npy",
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
