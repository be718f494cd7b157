"""The word vectors that some teachers read beside the encoder's."""

from __future__ import annotations

from pathlib import Path

from tagdistill.encoders.vectors import WordVectors, vectors_key
from tagdistill.errors import MismatchError, TagdistillError
from tagdistill.settings.encoder import Vectors


def open_word_vectors(folder: Path | None, wanted: Vectors | None, where: str) -> WordVectors:
    """Open the word vectors in a folder.

    Raises MismatchError for `where` if they are not those that the model was trained with, or if only one of `folder`
    and `wanted` is given.
    """
    if folder is None or wanted is None:
        what = "this model was trained without word vectors" if folder else "this model needs its word vectors"
        raise MismatchError(what, where=where, hint="Give their folder with --vectors." if wanted else None)
    words = WordVectors.open(folder)
    if words.key != vectors_key(wanted):
        raise MismatchError(f"these are {words.key!r}, needed are {vectors_key(wanted)!r}", where=str(folder))
    return words


def find_vectors(folder: Path, vectors: Vectors) -> Path:
    """Return the converted word vectors of a teacher: those in `resources/vectors/`, above `folder` or here.

    Raises TagdistillError if they are in neither place.
    """
    key = vectors_key(vectors)
    for above in [*folder.resolve().parents, Path.cwd()]:
        if (place := above / "resources" / "vectors" / key).is_dir():
            return place
    raise TagdistillError(
        f"the word vectors {key!r} of this teacher are not here",
        where=str(folder),
        hint="Run it in the folder of its project, which has them in resources/vectors/.",
    )
