"""Reads what an objective needs of a teacher's files; only the training of students with teachers loads this."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tagdistill.artifacts.files import check_belongs, sha256_json
from tagdistill.distill.score_table import Scores, read_scores
from tagdistill.distill.target_table import TargetsFile
from tagdistill.distill.teacher_chains import expected_counts
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.distill.dataset import CorpusFiles, Source
    from tagdistill.settings.distill import ResolvedObjective

ROWS_AT_ONCE = 1 << 14  # of the counts that are averaged
Values = tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]  # metadata, values of words, of sentences


def with_teacher(
    source: Source, files: CorpusFiles, labels: Sequence[str], objective: ResolvedObjective, room: Path | None = None
) -> Source:
    """Return a corpus with the values of its teacher, or of the average of several, that an objective reads.

    `room`: a folder for temporary files, which large values are mapped from; None: they are in memory.
    Raises DataError if a file is missing, MismatchError if it is of another text, label list or kind of teacher, or if
    its files are of two teachers.
    """
    for kind, first, others in (("targets", files.targets, ()), ("scores", files.scores, files.other_scores)):
        if kind not in objective.row.needs:
            continue
        if first is None:
            raise DataError(f"the objective needs the teacher's {kind} of {files.language!r}", where=str(files.corpus))
        read = _read_targets if kind == "targets" else _read_scores
        every = [read(path, objective, room) for path in (first, *others)]
        names = [
            _teacher_of(path, values[0], source, labels, objective)
            for path, values in zip((first, *others), every, strict=True)
        ]
        per_word, per_sentence = _averaged(every, files.shares) if others else every[0][1:]
        source = replace(
            source,
            per_word=source.per_word | per_word,
            per_sentence=source.per_sentence | per_sentence,
            teacher=_same_teacher(_name(names, files.shares), source, first),
        )
    return source


def _averaged(every: Sequence[Values], shares: Sequence[float]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the expected counts of the average of several teachers: the average of their expected counts."""
    _, words, sentences = every[0]
    for values, part in ((words, 1), (sentences, 2)):
        for name, total in values.items():
            for begin in range(0, len(total), ROWS_AT_ONCE):
                rows = slice(begin, begin + ROWS_AT_ONCE)
                parts = (share * each[part][name][rows].double() for share, each in zip(shares, every, strict=True))
                total[rows] = sum(parts)
    return words, sentences


def _name(teachers: Sequence[str], shares: Sequence[float]) -> str:
    """Return what a teacher, or the average of several, is known by."""
    return teachers[0] if len(teachers) == 1 else sha256_json([teachers, list(shares)])


def _same_teacher(teacher: str, source: Source, path: Path) -> str:
    """Return the teacher of a file, after checking that it is that of the files read before."""
    if source.teacher not in (None, teacher):
        raise MismatchError(
            f"of another teacher than its targets: {teacher[:12]}, not {str(source.teacher)[:12]}", where=str(path)
        )
    return teacher


def _read_targets(path: Path, objective: ResolvedObjective, room: Path | None) -> Values:
    targets = TargetsFile(path, room)
    per_word: dict[str, Tensor] = {}
    per_sentence: dict[str, Tensor] = {}
    if "log_posterior" in objective.row.targets:
        per_word["log_posterior"] = torch.from_numpy(targets.log_posterior())
    if "paths" in objective.row.targets:
        per_word["paths"] = torch.from_numpy(targets.paths(objective.k))
    if "path_log_prob" in objective.row.targets:
        per_sentence["path_log_prob"] = torch.from_numpy(targets.path_log_prob(objective.k))
    return targets.metadata, per_word, per_sentence


def _read_scores(path: Path, objective: ResolvedObjective, room: Path | None) -> Values:
    scores = read_scores(path, room)
    per_word: dict[str, Tensor] = {}
    per_sentence: dict[str, Tensor] = {}
    if "emissions" in objective.row.scores:
        per_word["emissions"] = torch.from_numpy(scores.emissions)
    if "transitions" in objective.row.scores:
        per_sentence["transitions"] = _repeated(scores)
    if "pairs" in objective.row.scores:  # and "unary": they are of one pass
        unary, pairs = expected_counts(scores, room)
        per_word["unary"], per_sentence["pairs"] = torch.from_numpy(unary), torch.from_numpy(pairs)
    return scores.metadata, per_word, per_sentence


def _repeated(scores: Scores) -> Tensor:
    """Return each sentence's transition matrix, without copies where all have the same: a batch may have several."""
    if scores.fold is not None:
        return torch.from_numpy(scores.transitions)[torch.from_numpy(scores.fold)]
    return torch.from_numpy(scores.transitions).expand(len(scores.ids), -1, -1)


def _teacher_of(
    path: Path, metadata: dict[str, Any], source: Source, labels: Sequence[str], objective: ResolvedObjective
) -> str:
    """Return the hash of the teacher that wrote a file, if the file belongs to the corpus and the objective."""
    check_belongs(path, metadata, language=source.language, labels=list(labels), corpus_sha256=source.corpus_sha256)
    if (decoder := metadata.get("decoder")) != objective.row.teacher_decoder:
        raise MismatchError(
            f"scores of a {decoder} teacher, needed are those of a {objective.row.teacher_decoder} one",
            where=str(path),
            hint=f"`{objective.name}` learns from {objective.row.teacher_decoder} teachers.",
        )
    return str(metadata["teacher_sha256"])
