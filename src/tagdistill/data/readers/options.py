"""How a file is read where options say so and no config: by `add-language`, `predict` and `evaluate`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.lines import folder_error
from tagdistill.errors import ConfigError, DataError, TagdistillError, nearest
from tagdistill.settings.language import Language
from tagdistill.settings.names import FORMATS, names_in
from tagdistill.settings.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = "format|scheme|separator|columns|comment|skip_lines|broken|label_map|names|encoding"
OPTION = re.compile(rf"`({KEYS}):(?: ([^`]+))?`")
PLACE = re.compile(rf"(?:options: )?({KEYS})(?:\.\w+)?\Z")
KEY_OR_SPLIT = re.compile(r"`(\w+:|unlabelled`)")
NUMBER = re.compile(r"-?[0-9]+\Z")


@dataclass(frozen=True)
class Reading:
    """The reading options of a command as they were given; None is the default of a config."""

    kind: str = "auto"  # by the file's ending
    separator: str | None = None
    columns: str | None = None  # token=1,tag=3
    comment: str | None = None
    label_map: str | None = None  # PERSON=PER,PLACE=LOC
    scheme: str | None = None
    encoding: str | None = None
    skip_lines: int | None = None
    broken: str | None = None
    names: str | None = None  # O,B-PER,I-PER, also between brackets
    called: str | None = None  # how notes name the file, such as stdin; None: by its path

    def settings(self, kind: str) -> dict[str, Any]:
        """Return the keys of a language in a config that mean the same.

        Raises ConfigError for an option that is not made of NAME=VALUE.
        """
        columns, label_map = _pairs("--columns", self.columns), _pairs("--label-map", self.label_map)
        keys = {
            "format": kind,
            "separator": self.separator,
            "columns": {name: int(x) if NUMBER.match(x) else x for name, x in columns.items()} or None,
            "scheme": self.scheme,
            "encoding": self.encoding,
            "comment": self.comment,
            "skip_lines": self.skip_lines,
            "broken": self.broken,
            "names": [name.strip() for name in _bare(self.names, "[]").split(",")] if self.names else None,
            "label_map": label_map or None,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def language(self, file: Path) -> Language:
        """Return the settings by which `file` is read.

        Raises DataError where the ending does not tell the format, ConfigError for an option that cannot be used.
        """
        kind = format_by_ending(file) if self.kind == "auto" else self.kind
        return validate(Language, self.settings(kind), "options")


AUTO = Reading()


def as_options(text: str) -> str:
    """Name options of the command line where a text names keys of a config."""
    return OPTION.sub(_option, text)


@contextmanager
def in_options(*, config: bool = False) -> Iterator[None]:
    """Word the errors of the readers for the command line: not every key has an option.

    Without a `config` the hints leave out what only a key could do.
    """
    try:
        yield
    except TagdistillError as error:
        what, place = as_options(error.what), PLACE.match(error.where or "")
        where = f"--{place[1].replace('_', '-')}" if place else error.where
        raise type(error)(what, where=where, hint=_hint(error, config=config)) from error


def _hint(error: TagdistillError, *, config: bool) -> str | None:
    """Return the hint of an error in words of options, without the sentences that are about keys of a config."""
    hint = as_options(error.hint or "")
    sentences = re.split(r"(?<=[.;?]) ", hint)
    kept = [sentence for sentence in sentences if config or not KEY_OR_SPLIT.search(sentence)]
    if hint and not kept and "no such file" not in error.what:
        kept = ["The token is the first column and the tag the last, unless --columns says so."]
    return re.sub(r";\Z", ".", " ".join(kept)) or None


def _option(match: re.Match[str]) -> str:
    value = (match[2] or "").strip("{}[]").replace(": ", "=").replace(", ", ",")
    return f"`--{match[1].replace('_', '-')}{' ' + value if value else ''}`"


def format_by_ending(file: Path) -> str:
    """Return the format that a file's ending stands for, before .gz.

    Raises DataError where it stands for none, and for a folder.
    """
    if file.is_dir():
        raise folder_error(file)
    known = {ending: name for name in names_in(FORMATS) for ending in load_format(name).endings}
    plain = file.with_suffix("") if file.suffix.lower() == ".gz" else file
    if (ending := plain.suffix.lower()) not in known:
        hint = f"Say it with --format. {nearest(plain.suffix, known)}"
        raise DataError(f"the ending {plain.suffix!r} does not tell the format", where=str(file), hint=hint)
    return known[ending]


def _bare(text: str, brackets: str) -> str:
    """Return a text without the brackets around it, as a config has them."""
    inner = text.strip()
    return inner[1:-1] if inner[:1] + inner[-1:] == brackets else text


def _pairs(option: str, text: str | None) -> dict[str, str]:
    """Return the pairs of `NAME=VALUE,...`; None is an option that was not given."""
    found: dict[str, str] = {}
    parts = _bare(text, "{}").split(",") if text is not None else []
    for part in parts:
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name or not value or name in found:
            what = "is given twice" if name in found else "is not NAME=VALUE"
            example = "token=1,tag=3" if option == "--columns" else "PERSON=PER,PLACE=LOC"
            raise ConfigError(f"{part!r} {what}", where=option, hint=f"Such as {option} {example}.")
        found[name] = value
    return found
