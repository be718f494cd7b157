"""What the settings give each language: the splits that it has and the settings of its teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.data.sources.source import load_source
from tagdistill.settings.language import SPLITS
from tagdistill.settings.training import SharedTeacherSettings, TeacherSettings
from tagdistill.settings.validation import validate

if TYPE_CHECKING:
    from tagdistill.settings.experiment import Experiment
    from tagdistill.settings.language import Language


def available_splits(key: str, language: Language, *, trained: bool) -> tuple[str, ...]:
    """Return the splits of a language that the experiment uses, in the order train, dev, test, unlabelled."""
    source = load_source(language.source)
    listed = None if source.own else language.splits
    present = {*(listed or source.splits(language, key))}
    present |= {name for name in SPLITS if language.split(name) is not None}
    if not trained:  # text of a zero-shot language must be asked for: it is not zero-shot in text any more
        asked = language.split("unlabelled") is not None or "unlabelled" in (language.splits or ())
        present &= {"test", "unlabelled"} if asked else {"test"}
    return tuple(name for name in SPLITS if name in present)


def teacher_settings(experiment: Experiment, language: str, where: str = "config") -> TeacherSettings:
    """Return the teacher settings of one language: the experiment's, with the language's own on top."""
    own = experiment.languages[language].teacher
    base = experiment.teacher.model_dump(exclude_unset=True, mode="json")
    return validate(TeacherSettings, _on_top(base, own), f"{where}.teacher", joint=".")


def shared_teacher_settings(experiment: Experiment, name: str, where: str = "config") -> SharedTeacherSettings:
    """Return the settings of a teacher of several languages: the experiment's, with its own on top.

    Word vectors are those of one language, so that it has none unless it names them itself.
    """
    base = experiment.teacher.model_dump(exclude_unset=True, mode="json", exclude={"vectors"})
    place = f"{where}.teachers.{name}" if where == "config" else f"{where}: teachers.{name}"
    return validate(SharedTeacherSettings, _on_top(base, experiment.teachers[name]), place, joint=".")


def _on_top(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if "updates" in own or "epochs" in own:  # they stand for one another
        base = {key: value for key, value in base.items() if key not in ("updates", "epochs")}
    return {**base, **own}
