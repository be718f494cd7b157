"""Data sets that are fetched by the workflow itself, from a server on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from projects import Project, new_project

from tagdistill.data.corpus import read_corpus

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from web import Web, serving

SENTENCE = b"1\tOui\t_\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
TRAIN = "/UD_French-Sequoia/r2.5/fr_sequoia-ud-train.conllu"
CONFIG = {
    "name": "fetched",
    "task": "pos",
    "labels": "upos",
    "languages": {
        "fr": {
            "source": "ud",
            "treebank": "French-Sequoia",
            "release": "r2.5",
            "train": {"take": "0:20"},
            "dev": {"of": "train", "take": "20:"},
        }
    },
    "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
    "teacher": {"updates": 3},
    "student": {"updates": 3},
}
CORPORA = [f"results/fetched/data/fr/{split}.parquet" for split in ("train", "dev")]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return new_project(tmp_path / "project")


def ask(project: Project, web: Web) -> tuple[int, str]:
    done = project.snakemake(
        project.write(CONFIG), *CORPORA, "--cores", "1", TAGDISTILL_UD_URL=web.url, no_proxy="127.0.0.1"
    )
    logs = [path.read_text(encoding="utf-8") for path in (project.path / "logs" / "fetch").rglob("*.log")]
    return done.returncode, done.stdout + "".join(logs)


def test_one_file_serves_two_splits_and_is_enforced_from_then_on(project: Project):
    with serving() as web:
        web.files |= {TRAIN: SENTENCE * 25, "/UD_French-Sequoia/r2.5/README.md": b"License: LGPL-LR\n"}
        assert ask(project, web)[0] == 0
        assert web.asked.count(TRAIN) == 1
        corpora = [read_corpus(project.path / file) for file in CORPORA]
        assert [len(corpus) for corpus in corpora] == [20, 5]
        assert {corpus.metadata["licence"] for corpus in corpora} == {"LGPL-LR"}

        raw = project.path / "resources/data/ud/French-Sequoia/r2.5/train.conllu"
        raw.unlink()
        for file in CORPORA:
            (project.path / file).resolve().unlink()
        web.files[TRAIN] = SENTENCE * 26
        code, said = ask(project, web)
        assert code == 1 and "but should be" in said and "checksums.sha256" in said and "Traceback" not in said
        assert not raw.exists()
