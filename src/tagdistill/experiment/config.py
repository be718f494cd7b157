"""Read a config file into an `Experiment`, with errors that name the file, the key, the value and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tagdistill.data.labels import OUTSIDE, UPOS, label_list
from tagdistill.data.sources.source import load_source
from tagdistill.encoders.provider import load_provider
from tagdistill.errors import ConfigError, nearest
from tagdistill.experiment.by_language import available_splits, shared_teacher_settings, teacher_settings
from tagdistill.experiment.check_teachers import check_teachers
from tagdistill.experiment.layout import SHARED
from tagdistill.experiment.runs import Runs
from tagdistill.formatting import count
from tagdistill.settings.experiment import Experiment
from tagdistill.settings.language import LANGUAGE_ID, Language
from tagdistill.settings.objectives import MAX_LABELS
from tagdistill.settings.presets import expand_presets
from tagdistill.settings.training import SharedTeacherSettings, TeacherSettings, Training
from tagdistill.settings.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.encoder import EncoderSettings


COLUMN = "Keys of the same level begin in the same column"
YAML_HINTS = {  # by a part of PyYAML's message
    "'\\t'": "Indent with spaces, not with tabs.",
    "could not find expected ':'": "A colon needs a blank after it: `key: value`.",
    "expected ',' or": "Is a bracket before it not closed? Text with a comma, a colon or # stands in quotes.",
    "mapping values are not allowed": f"{COLUMN}; text with a colon stands in quotes.",
    "expected <block end>": f"{COLUMN}.",
}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, ((key_node, _), key) in enumerate(zip(node.value, keys, strict=True)):
            if key in keys[:position]:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"key {key!r} is written twice", where=f"{key_node.start_mark.name}:{line}")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; a broken file is an error with its line."""
    try:
        with path.open(encoding="utf-8") as handle:
            value = yaml.load(handle, _Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except yaml.YAMLError as error:
        raise _not_yaml(error, path) from error
    if not isinstance(value, dict):
        raise ConfigError("holds no settings", where=str(path), hint="config/README.md lists every key.")
    return value


def _not_utf8(path: Path) -> ConfigError:
    """Return the error for a file in another encoding, with the line of the first byte that shows it."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return ConfigError(f"not UTF-8: {error.reason}", where=f"{path}:{line}", hint="Save the file as UTF-8.")
    return ConfigError("it changed while it was read", where=str(path))


def _not_yaml(error: yaml.YAMLError, path: Path) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    problem = getattr(error, "problem", None) or str(error)
    hint = next((hint for part, hint in YAML_HINTS.items() if part in problem), None)
    return ConfigError(f"not valid YAML: {problem}", where=where, hint=hint)


def read_experiment(path: Path, **overrides: Any) -> Experiment:
    """Read and check one config file; `overrides` replace top-level keys, as `--config key=value` does."""
    return check_experiment({**read_yaml(path), **overrides}, str(path))


def check_experiment(values: dict[str, Any], where: str) -> Experiment:
    """Check the settings of a whole experiment; raise ConfigError at the first thing that cannot be used."""
    experiment = validate(Experiment, expand_presets(values, where), where)
    if experiment.name.lower() == SHARED:
        hint = f"results/{SHARED} is the folder of what experiments share: choose another name."
        raise ConfigError(f"no experiment can be called {experiment.name!r}", where=f"{where}: name", hint=hint)
    _check_labels(experiment, where)  # before the languages, whose label maps end in them
    for group, languages in (("languages", experiment.languages), ("zero_shot", experiment.zero_shot)):
        for key, language in languages.items():
            _check_language(experiment, key, language, f"{where}: {group}.{key}", trained=group == "languages")
    if both := sorted(set(experiment.languages) & set(experiment.zero_shot)):
        raise ConfigError(f"{both[0]!r} is both trained and zero-shot", where=f"{where}: zero_shot.{both[0]}")
    _check_encoders(experiment, where)
    check_teachers(experiment, where)
    _check_training(experiment, where)
    _check_objectives(experiment, where)
    _check_gates(experiment, where)
    return experiment


def _check_language(experiment: Experiment, key: str, language: Language, where: str, *, trained: bool) -> None:
    if not LANGUAGE_ID.match(key):
        raise ConfigError("a language's key is made of letters, digits, '_' and '-', 60 of them at most", where=where)
    try:
        present = available_splits(key, language, trained=trained)
    except ConfigError as error:  # a language that its source does not have
        raise error.at(where) from None
    needed = "train" if trained else "test"
    if needed not in present:
        hint = f"Add `{needed}: FILE`. {load_source(language.source).where_to_ask}".rstrip()
        raise ConfigError(f"no {needed!r} split is given", where=where, hint=hint)
    _check_source(language, key, where, present)
    _check_reading(experiment, language, where)
    if unread := [split for split in ("train", "dev") if not trained and language.split(split) is not None]:
        hint = "Take it out, or move the language to `languages`, where it is trained."
        raise ConfigError(f"a zero-shot language has no {unread[0]!r}", where=f"{where}.{unread[0]}", hint=hint)
    if language.teacher and not trained:
        raise ConfigError("a zero-shot language has no teacher", where=f"{where}.teacher", hint="Take it out.")
    if language.teacher:
        teacher_settings(experiment, key, where)


def _check_source(language: Language, key: str, where: str, present: tuple[str, ...]) -> None:
    """Refuse what the source of a language does not have."""
    try:
        load_source(language.source).check(language, key, present)
    except ConfigError as error:
        place = (error.where or "").removeprefix(f"languages.{key}")
        raise error.at(f"{where}{place}") from None


def _check_reading(experiment: Experiment, language: Language, where: str) -> None:
    """Refuse an encoding that does not exist, and other names that end outside the label space."""
    try:
        "a".encode(language.encoding)  # refuses codecs that are not for text, too
    except (LookupError, ValueError):
        hint = nearest(language.encoding, ("utf-8", "utf-16", "latin-1", "iso8859-2", "iso8859-15", "cp1252", "koi8-r"))
        raise ConfigError(f"no text encoding {language.encoding!r}", where=f"{where}.encoding", hint=hint) from None
    known = (*UPOS, OUTSIDE) if experiment.labels == "upos" else (*experiment.labels, OUTSIDE)
    for name, label in language.label_map.items():
        # Whole tags may be renamed too, such as a mistyped `B-BER: B-PER`.
        if label not in known and (label[1:2] != "-" or label[2:] not in known):
            raise ConfigError(
                f"{label!r} is not in the label space", where=f"{where}.label_map.{name}", hint=nearest(label, known)
            )


def _check_labels(experiment: Experiment, where: str) -> None:
    upos = experiment.labels == "upos"
    if upos != (experiment.task == "pos"):
        wanted = "`labels: upos`" if experiment.task == "pos" else "the list of entity types, such as [PER, LOC, ORG]"
        raise ConfigError(f"task {experiment.task!r} needs {wanted}", where=f"{where}: labels")
    if not upos and (len(set(experiment.labels)) != len(experiment.labels) or not experiment.labels):
        raise ConfigError("the types must be a list without repeats", where=f"{where}: labels")
    if not upos and all(name[:2] in ("B-", "I-", "E-", "S-") for name in experiment.labels if name != "O"):
        hint = "Give the types alone, such as [PER, LOC, ORG]: B-, I-, E-, S- and O are added."
        raise ConfigError(f"{experiment.labels[0]!r} is a tag, not a type", where=f"{where}: labels", hint=hint)
    try:
        label_list(experiment.task, experiment.labels)
    except ConfigError as error:
        raise error.at(f"{where}: labels") from None


def _check_encoders(experiment: Experiment, where: str) -> None:
    """Refuse encoders that lack what their provider needs."""
    found = {"encoder": experiment.encoder, "teacher.encoder": experiment.teacher.encoder}
    for language, settings in experiment.languages.items():
        if "encoder" in settings.teacher:
            found[f"languages.{language}.teacher.encoder"] = teacher_settings(experiment, language).encoder
    for name, own in experiment.teachers.items():
        if "encoder" in own:
            found[f"teachers.{name}.encoder"] = shared_teacher_settings(experiment, name, where).encoder
    for key, encoder in found.items():
        if encoder:
            load_provider(encoder.provider).check(encoder, f"{where}: {key}")


def _check_training(experiment: Experiment, where: str) -> None:
    """Refuse what no run of this experiment could do, for its students and for each language's teacher."""
    runs: dict[str, tuple[Training, EncoderSettings, list[str]]] = {
        "student": (experiment.student, experiment.encoder, list(experiment.languages))
    }
    for language, settings in experiment.languages.items():
        teacher = teacher_settings(experiment, language, f"{where}: languages.{language}")
        place = f"languages.{language}.teacher" if settings.teacher else "teacher"
        runs.setdefault(place, (teacher, teacher.encoder or experiment.encoder, []))[2].append(language)
    for name in experiment.teachers:
        shared = shared_teacher_settings(experiment, name, where)
        languages = list(experiment.languages if shared.languages == "all" else shared.languages)
        runs[f"teachers.{name}"] = (shared, shared.encoder or experiment.encoder, languages)
    for place, (training, encoder, languages) in runs.items():
        _check_run(experiment, f"{where}: {place}", training, encoder, languages)


def _check_run(
    experiment: Experiment, where: str, training: Training, encoder: EncoderSettings, languages: list[str]
) -> None:
    with_dev = [x for x in languages if "dev" in available_splits(x, experiment.languages[x], trained=True)]
    without = [x for x in languages if x not in with_dev]
    several = not isinstance(training, TeacherSettings) or isinstance(training, SharedTeacherSettings)
    if training.schedule == "plateau" and (not with_dev if several else without):
        raise ConfigError(
            f"'plateau' follows the dev score, and there is no dev set of {', '.join(without[:5])}",
            where=f"{where}.schedule",
            hint="Give a `dev` split, or choose linear or constant.",
        )
    if isinstance(training, TeacherSettings) and training.vectors and training.mode == "finetune":
        raise ConfigError(
            "word vectors are read beside a frozen encoder only",
            where=f"{where}.vectors",
            hint="Take them out, or set `mode: frozen`.",
        )
    if training.mode == "finetune" and encoder.mixed:
        _check_tuned_mix(where, encoder, training.tune_from)
    elif training.mode == "finetune" and training.tune_from >= encoder.layers:
        raise ConfigError(
            f"{training.tune_from} layers are kept frozen, but `encoder.layers` keeps {encoder.layers} in all",
            where=f"{where}.tune_from",
            hint=f"Choose less than {encoder.layers}, or more `layers`.",
        )


def _check_tuned_mix(where: str, encoder: EncoderSettings, first: int) -> None:
    """Refuse a mix of which fewer than two layers are tuned."""
    if len(tuned := encoder.tuned_from(first).mixed) < 2:
        raise ConfigError(
            f"{first} layers are kept frozen: of those to mix, {list(encoder.mixed)}, only {list(tuned)} are tuned",
            where=f"{where}.tune_from",
            hint="Lower it, or give `encoder.tap: {mix: [...]}` more layers above it, or take one layer.",
        )


def _check_objectives(experiment: Experiment, where: str) -> None:
    """Refuse what the targets or the data do not have for an objective."""
    distill, runs = experiment.distill, Runs(experiment)
    labels = len(label_list(experiment.task, experiment.labels))
    for number, name in enumerate(distill.names):
        text = bool(runs.seen(name, "unlabelled"))
        resolved, place = distill.resolve(name), f"{where}: distill.objectives.{number}"
        if resolved.k is not None and resolved.k > distill.k:
            raise ConfigError(
                f"{name!r} reads {resolved.k} paths, but the targets hold {distill.k}",
                where=f"{place}.k",
                hint=f"Set `distill.k: {resolved.k}`: the targets are made again, and the students that read them.",
            )
        if resolved.row.targets and labels > MAX_LABELS:
            raise ConfigError(
                f"{name!r} reads targets, which hold one byte per label: {MAX_LABELS} at most, but there are {labels}",
                where=place,
                hint="Take objectives that read scores instead (emission, structural, scores), or give "
                f"{(MAX_LABELS - 1) // 4} types of spans at most: each has four labels.",
            )
        if resolved.row.tempered and resolved.temperature > 1 and text:
            own = not isinstance(entry := distill.objectives[number], str) and entry.temperature is not None
            raise ConfigError(
                f"{name!r} learns at temperature {resolved.temperature:g} from unlabelled text, where the teacher's "
                "weight stays 1: its loss, times the square of the temperature, outweighs the gold labels",
                where=f"{place}.temperature" if own else f"{where}: distill.temperature",
                hint="Set it to 1, or `unlabelled_ratio: 0` to learn from labelled text, where the weight falls.",
            )
        if resolved.row.gold_only and not text:
            raise ConfigError(
                f"{name!r} learns from its teachers on unlabelled text alone, and there is none",
                where=place,
                hint="Give a language an `unlabelled` split and an `unlabelled_ratio` above 0, or leave it out.",
            )


def _check_gates(experiment: Experiment, where: str) -> None:
    """Refuse `gate: soft` where there are no dev scores to compare."""
    distill, languages = experiment.distill, experiment.languages
    for number, name in enumerate(distill.names):
        resolved = distill.resolve(name)
        if resolved.gate != "soft":
            continue
        entry = distill.objectives[number]
        own = not isinstance(entry, str) and entry.gate is not None
        place = f"{where}: distill.{f'objectives.{number}.' if own else ''}gate"
        if distill.first_with(resolved.row.reference) is None:
            raise ConfigError(
                f"compares the teachers of {name!r} with the students of {resolved.row.reference!r}, which is missing",
                where=place,
                hint=f"Add {resolved.row.reference} to `distill.objectives`, or set `gate: off`.",
            )
        without = [x for x in languages if "dev" not in available_splits(x, languages[x], trained=True)]
        if without:
            raise ConfigError(
                f"compares dev scores, and there is no dev set of {', '.join(without[:5])}",
                where=place,
                hint="Give a `dev` split, or set `gate: auto` (soft where dev sets allow it) or `gate: off`.",
            )


def describe_experiment(experiment: Experiment, name: str) -> str:
    """Return one paragraph for a person: what a config file would train."""
    objectives = experiment.distill.names
    trained, unseen = (", ".join(languages) for languages in (experiment.languages, experiment.zero_shot))
    teachers = len(Runs(experiment).teachers)
    students, seeds = len(objectives) * len(experiment.seeds), ", ".join(map(str, experiment.seeds))
    return (
        f"{name}: fine. {experiment.name}: {experiment.task}, {count(len(experiment.languages), 'trained language')} "
        f"({trained}), {len(experiment.zero_shot)} zero-shot{f' ({unseen})' if unseen else ''}; "
        f"{count(teachers, 'teacher')}, {count(students, 'student')} ({', '.join(objectives)}; "
        f"{'seed' if len(experiment.seeds) == 1 else 'seeds'} {seeds})."
    )
