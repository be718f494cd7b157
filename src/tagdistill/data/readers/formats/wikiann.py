"""WikiAnn's own files: `lang:token TAB tag`, plain or in the archive of their language.

Of an archive `xx.tar.gz` the member of the split is read; nothing is unpacked.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tagdistill.data.archives import tar_member
from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.formats.conll import check_cell
from tagdistill.data.readers.formats.conll import read as read_columns
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.lines import Sentence

ARCHIVES = (".tar.gz", ".tgz")
MEMBERS = {"unlabelled": "extra"}  # what WikiAnn calls the rest of a language
LAYOUT = {"separator": "tab", "columns": {"token": 0, "tag": -1}, "comment": None}


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences of an original WikiAnn file, where `fa::` is the token `:`."""
    with _member(replace(file, settings=file.settings.model_copy(update=LAYOUT))) as text:
        for sentence in read_columns(text):
            try:
                places = [sentence.where(text.where, i) for i in range(len(sentence.tokens))]
                tokens = [_after_prefix(*pair) for pair in zip(sentence.tokens, places, strict=True)]
            except DataError as error:
                text.leave_out(error, sentence.line)
                continue
            yield sentence._replace(tokens=tokens)


@contextmanager
def _member(file: RawFile) -> Iterator[RawFile]:
    """Yield the file itself or, of an archive, the member of the split."""
    if not file.path.name.endswith(ARCHIVES):
        yield file
        return
    name = MEMBERS.get(file.part, file.part)
    with tar_member(file.handle, name, file.where) as handle:
        yield replace(file, handle=handle, where=f"{file.where}/{name}", member=f"/{name}")


def _after_prefix(text: str, where: str) -> str:
    prefix, colon, token = text.partition(":")
    if not prefix or not colon:
        raise DataError(
            f"{text!r} has no language prefix such as `fa:`",
            where=where,
            hint="WikiAnn without prefixes (as in XTREME) is `format: conll` with `separator: tab`.",
        )
    check_cell("token", token, where)
    return token


FORMAT = Format(read, archives=ARCHIVES)
