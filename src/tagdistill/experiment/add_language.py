"""Check the files of a new language and write the lines that add it to a config."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.options import Reading, as_options, format_by_ending, in_options
from tagdistill.errors import ConfigError, DataError, nearest_file
from tagdistill.experiment.config import check_experiment, read_yaml
from tagdistill.experiment.runs import Runs
from tagdistill.formatting import count, printable
from tagdistill.settings.language import SPLITS, Language

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tagdistill.data.corpus import Corpus
    from tagdistill.settings.experiment import Experiment

SHOWN_WORDS, MAX_WORD_LENGTH = 12, 20  # of the first sentence; in characters
DEFAULT = "conll"  # the format of labelled text whose ending names none
TAKE = 'such as `train: {path: FILE, take: "0:900"}`, `test: {path: FILE, take: "900:"}`'


def add_language(
    config: Path,
    key: str,
    files: Mapping[str, Path],
    reading: Reading,
    *,
    unlabelled_format: str | None = None,
    zero_shot: bool = False,
) -> str:
    """Return a text: what the files contain, the lines to paste, and the command to run.

    `files` maps a split to its file, from the working folder; each is read completely, as the workflow will read it.
    Raises TagdistillError with file and line for content that it cannot read, and ConfigError for a language that the
    config already has, for a missing file, and for one file in two labelled splits.
    """
    group = "zero_shot" if zero_shot else "languages"
    if not files:
        hint = "Give `--test FILE`, its labelled text." if zero_shot else "Give `--train FILE`, its labelled text."
        raise ConfigError("no file is given", where=f"--{'test' if zero_shot else 'train'}", hint=hint)
    values = read_yaml(config)
    before = check_experiment(values, str(config))
    if key in before.languages or key in before.zero_shot:
        where = "languages" if key in before.languages else "zero_shot"
        raise ConfigError("this language is in the config already", where=f"{config}: {where}.{key}")
    _check_files(files)
    with in_options(config=True):
        own = _settings(files, reading, unlabelled_format, Path(before.root))
        after = check_experiment({**values, group: {**values.get(group, {}), key: own}}, str(config))
        language = {**after.languages, **after.zero_shot}[key]
        contents = [_read(after, key, language, split) for split in SPLITS if language.split(split)]
    block = _lines(config, group, key, own, new=group not in values)
    return "\n".join([*contents, "", *block, "", *_next(config, _trains(Runs(after), key))])


def _check_files(files: Mapping[str, Path]) -> None:
    seen: dict[Path, str] = {}
    for split, path in files.items():
        if not path.is_file():
            what, hint = ("is a folder, not a file", None) if path.is_dir() else ("no such file", nearest_file(path))
            raise ConfigError(f"{what}: {path}", where=f"--{split}", hint=hint)
        if split == "unlabelled":  # its labels are not read: it may be any text
            continue
        if first := seen.get(path.resolve()):
            hint = f"Scores on it would mean nothing. `take:` cuts a part of a file for each, {TAKE}."
            raise ConfigError(f"the same file as --{first}: {path}", where=f"--{split}", hint=hint)
        seen[path.resolve()] = split


def _settings(files: Mapping[str, Path], reading: Reading, unlabelled_format: str | None, root: Path) -> dict[str, Any]:
    """Return the language as the config will have it: the options, and the files relative to `root`."""
    kinds = {split: _kind(split, file, reading.kind) for split, file in files.items()}
    if "unlabelled" in files and unlabelled_format:
        kinds["unlabelled"] = unlabelled_format
    kind = next(iter(kinds.values()))
    places: dict[str, Any] = {split: _below(path, root) for split, path in files.items()}
    for split, own in kinds.items():
        if own != kind or (split == "unlabelled" and unlabelled_format):
            places[split] = {"path": places[split], "format": own}
    return {**reading.settings(kind), **places}


def _kind(split: str, file: Path, asked: str) -> str:
    """Return the format of a file: the one asked for, else by its ending; labelled text is in columns otherwise."""
    try:
        by_ending = format_by_ending(file)
    except DataError:
        by_ending = DEFAULT
    if split == "unlabelled":
        return by_ending if asked == "auto" or not load_format(by_ending).labelled else asked
    if asked != "auto":
        return asked
    return by_ending if load_format(by_ending).labelled else DEFAULT


def _below(path: Path, root: Path) -> str:
    """Return a path as the config writes it: relative to `root` where it lies below it."""
    full, start = Path(os.path.abspath(path)), Path(os.path.abspath(root))  # noqa: PTH100 (links stay links)
    return str(full.relative_to(start)) if full.is_relative_to(start) else str(full)


def _read(experiment: Experiment, key: str, language: Language, split: str) -> str:
    """Read a file as the workflow will, and describe its content."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.data.prepare import prepare
    from tagdistill.data.sources.fetch import fetch

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{split}.parquet"
        source = fetch(language, split, out, language=key, root=Path(experiment.root))
        found = prepare(
            source, out, language=key, split=split, settings=language, task=experiment.task, labels=experiment.labels
        )
        corpus = read_corpus(out)
    words = int(corpus.lengths.sum())
    head = f"{split}: {count(len(corpus), 'sentence')}, {count(words, 'word')}{_labels(corpus.labels)}"
    noted = [f"  {as_options(line)}" for line in found.lines(str(source))]
    return "\n".join([head, f"  first: {_first(corpus)}", *noted])


def _first(corpus: Corpus) -> str:
    """Return the first sentence, word/label, of a length that fits a line or two."""
    words = [_shorter(printable(word, keep="")) for word in corpus.tokens[0][:SHOWN_WORDS]]
    if corpus.labels:
        words = [f"{word}/{label}" for word, label in zip(words, corpus.labels[0], strict=False)]
    return " ".join(words) + (" ..." if len(corpus.tokens[0]) > SHOWN_WORDS else "")


def _shorter(word: str) -> str:
    return word if len(word) <= MAX_WORD_LENGTH else f"{word[: MAX_WORD_LENGTH - 3]}..."


def _labels(labels: Sequence[list[str]] | None) -> str:
    types = sorted({label.split("-", 1)[-1] for sentence in labels or [] for label in sentence if label != "O"})
    return f", labelled {', '.join(types)}" if types else ""


def _lines(config: Path, group: str, key: str, settings: Mapping[str, Any], *, new: bool) -> list[str]:
    block = yaml.safe_dump(
        {key: dict(settings)}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    head = [f"Add to {config}", "", f"{group}:"] if new else [f"Add to {config}, below `{group}:`", ""]
    return [*head, *(f"  {line}" for line in block.rstrip().splitlines())]


def _next(config: Path, trains: str) -> list[str]:
    return ["and run", "", f"  snakemake --cores 2 --configfile {config}", "", trains]


def _trains(runs: Runs, key: str) -> str:
    """Return which models a run trains that has the language `key` and whose other results are there."""
    if runs.experiment.exclude_test_repeats and key in runs.tested:
        return (
            "It trains all models anew, since the sentences of its test set are left out of all training text "
            "(`exclude_test_repeats: true`)."
        )
    if key not in runs.trained:
        return _trains_without_labels(runs, key)
    students = _students(len(runs.students))
    again = [name for name in runs.shared if key in runs.taught(name)]
    if again:
        s = "" if len(again) == 1 else "s"
        return (
            f"It trains the teacher{s} of all languages ({', '.join(again)}) anew, with all that they label, the "
            f"language's own teacher if it has one, and {students}."
        )
    if any(model.teacher == key for model in runs.teachers):
        return f"It trains the language's own teacher and {students}; no other teacher is trained again."
    return f"It trains {students}."


def _trains_without_labels(runs: Runs, key: str) -> str:
    """Return which models a zero-shot language changes: those that learn from text without its test sentences."""
    text = runs.zero_shot_text
    learners = [name for name in runs.objectives if set(runs.seen(name, "unlabelled")) & set(text)]
    if not learners:
        return "No model is trained: all are scored on it."
    number = len(learners) * len(runs.experiment.seeds)
    who = f"{_students(number)} that learn{'s' if number == 1 else ''} from"
    if text == (key,):
        return f"It trains {who} its text; no teacher is trained again."
    return (
        f"It trains {who} text of zero-shot languages ({', '.join(text)}), since the sentences of its test set are "
        "left out of that text; no teacher is trained again."
    )


def _students(number: int) -> str:
    return "the student" if number == 1 else f"the {number:,} students"
