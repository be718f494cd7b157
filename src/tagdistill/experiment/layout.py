"""Where files lie. All paths are relative to the working folder; nothing here looks at the disk.

Every result has a place, such as data/fr/train.parquet. The file itself lies below results/shared, in a folder that is
named by its key, where every experiment finds it: results/shared/data/fr/KEY/train.parquet. Below results/NAME, at its
place, an experiment has a link to it.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tagdistill.encoders.keys import encoder_key
from tagdistill.experiment.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.settings.encoder import EncoderSettings

DOWNLOADS = "resources/data"
ENCODERS = "resources/encoders"
VECTORS = "resources/vectors"
SHARED = "shared"  # below results/ and benchmarks/, beside the folders of experiments: none of them has this name
KEY_DIGITS = 16  # hexadecimal; the hash of code alone has 12, a checksum 64
KEY = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}")
REPEATS = "data/repeats.json"
# The name of a job among those of its stage, in the names of its log and its benchmark.
JOBS = {
    "prepare": "{lang}-{split}",
    "data_report": "{lang}",
    "repeats": "repeats",
    "encode": "{features}-{lang}",
    "train_teacher": "{lang}-{decoder}-{seed}",
    "train_fold_teacher": "{lang}-{decoder}-{seed}-{fold}",
    "score": "{lang}{text}-{decoder}-{seed}-{corpus}",
    "export_targets": "{lang}{average}-{decoder}-{corpus}",
    "train_student": "{objective}-{seed}",
    "evaluate_student": "{objective}-{seed}",
    "evaluate_teacher": "{lang}-{decoder}-{seed}",
    "evaluate_shared_teacher": "{lang}-{decoder}-{seed}",
}


def encoder_folder(encoder: EncoderSettings) -> str:
    """Return the folder of a converted encoder; experiments share it."""
    return f"{ENCODERS}/{encoder_key(encoder)}"


def vectors_folder(key: str) -> str:
    """Return the folder of converted word vectors; experiments share it."""
    return f"{VECTORS}/{key}"


# -- the places of results


def corpus(language: str, split: str) -> str:
    """Return the place of the corpus of a split."""
    return f"data/{language}/{split}.parquet"


def data_report(language: str) -> str:
    """Return the place of the data report of a language."""
    return f"data/{language}/report.json"


def features(key: str, language: str, split: str) -> str:
    """Return the place of the feature store of a split, given the key of its encoder and layers."""
    return f"features/{key}/{language}/{split}.safetensors"


def stores(features: str, language: str, key: str) -> str:
    """Return the folder that holds the feature stores of a language, a file for each split: one job makes them.

    `features` is the key of their encoder and layers, `key` that of all that the folder holds.
    """
    return f"results/{SHARED}/features/{features}/{language}/{key}"


def teacher(name: str, decoder: str, seed: int | str) -> str:
    """Return the name of a teacher, given its language or its own name: the folder of its places."""
    return f"teachers/{name}/{decoder}/seed-{seed}"


def fold_teacher(name: str, decoder: str, seed: int | str, fold: int | str) -> str:
    """Return the name of a teacher that is trained without one fold of its text: the folder of its places."""
    return f"{teacher(name, decoder, seed)}/fold-{fold}"


def student(objective: str, seed: int | str) -> str:
    """Return the name of a student: the folder of its places."""
    return f"students/{objective}/seed-{seed}"


def trained(model: str) -> tuple[str, str, str]:
    """Return the places of what the training of a model makes: the model, its log and its summary."""
    return f"{model}/model", f"{model}/metrics.jsonl", f"{model}/training.json"


def scores(name: str, decoder: str, seed: int | str, corpus: str, text: str = "") -> str:
    """Return the place of the scores of a teacher on one corpus; `text` is "/LANG" where that is not its own language.

    >>> scores("all", "crf", 0, "train", "/fr")
    'teachers/all/crf/seed-0/scores/fr/train.parquet'
    """
    return f"{teacher(name, decoder, seed)}/scores{text}/{corpus}.parquet"


def targets(language: str, decoder: str, corpus: str, average: str = "") -> str:
    """Return the place of the targets of one corpus; `average` is "/NAME" of other teachers than the language's own.

    >>> targets("fr", "crf", "train", "/all+fr")
    'targets/fr/crf/all+fr/train.parquet'
    """
    return f"targets/{language}/{decoder}{average}/{corpus}.parquet"


def text_of(teacher: str, language: str) -> str:
    """Return how the place of a teacher's scores says whose text they are of: not at all where it is its own."""
    return "" if teacher == language else f"/{language}"


def average_of(mixture: Mixture, language: str) -> str:
    """Return how the place of targets says whose they are: not at all where they are of the language's own teacher."""
    return "" if mixture.teachers == (language,) else f"/{mixture.name}"


def mixture_of(average: str, language: str) -> Mixture:
    """Return the teachers of targets from what their place says."""
    return Mixture.named(average.removeprefix("/") or language)


def metrics(model: str, languages: Iterable[str]) -> list[str]:
    """Return the places of the metrics of a model (its name) on some languages."""
    return [f"metrics/{model}/{language}.json" for language in languages]


def predictions(model: str, languages: Iterable[str]) -> list[str]:
    """Return the places of the predictions of a model (its name) on some languages."""
    return [f"predictions/{model}/{language}.conll" for language in languages]


# -- from places to files, and back


def shared(place: str, key: str) -> str:
    """Return the file, or folder, of a result.

    >>> shared("data/fr/train.parquet", "KEY")
    'results/shared/data/fr/KEY/train.parquet'
    """
    path = PurePosixPath(place)
    return f"results/{SHARED}/{path.parent}/{key}/{path.name}"


def place_of(file: str) -> str | None:
    """Return the place of a shared result; None for any other file.

    >>> place_of("results/shared/data/fr/0123456789abcdef/train.parquet")
    'data/fr/train.parquet'
    """
    parts = PurePosixPath(file).parts
    if parts[:2] != ("results", SHARED) or not KEY.fullmatch(parts[-2]):
        return None
    return "/".join([*parts[2:-2], parts[-1]])


def output_of(file: str) -> str:
    """Return what a job makes a shared file as: itself, or the folder of a language's feature stores.

    >>> output_of("results/shared/features/wheel-tap6/fr/0123456789abcdef/train.safetensors")
    'results/shared/features/wheel-tap6/fr/0123456789abcdef'
    """
    return file.rpartition("/")[0] if file.startswith(f"results/{SHARED}/features/") else file


def benchmark(stage: str, job: str, key: str) -> str:
    """Return the time and memory of the job that made a shared result."""
    return f"benchmarks/{SHARED}/{stage}/{job}.{key}.tsv"


def own_benchmark(name: str, file: str) -> str:
    """Return the place of a benchmark among those of an experiment, where a link to a shared one lies.

    >>> own_benchmark("mine", "benchmarks/shared/score/fr-crf-0-train.0123456789abcdef.tsv")
    'benchmarks/mine/score/fr-crf-0-train.tsv'
    """
    parts = PurePosixPath(file).parts
    if parts[:2] != ("benchmarks", SHARED):
        return file
    return "/".join(["benchmarks", name, *parts[2:-1], re.sub(rf"\.{KEY.pattern}\.tsv\Z", ".tsv", parts[-1])])
