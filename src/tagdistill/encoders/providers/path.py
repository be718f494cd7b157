"""A folder of your own, as `save_pretrained` writes it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.encoders.model_files import card_licence, content_revision, layers_in
from tagdistill.encoders.pretrained import copy_pretrained
from tagdistill.encoders.provider import Origin, Provider
from tagdistill.errors import PLAN_AGAIN, MismatchError

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings

LOCAL = "local"  # the id of a folder that is known by its content


class LocalFolder(Provider):
    """A folder on this machine: known by its content, wherever it lies and whatever its name is."""

    local = True
    needs = (("id", ""),)

    def identity(self, settings: EncoderSettings) -> tuple[str, str]:
        """Return no name and the hash of the content; where that is not given, where the folder lies."""
        return ("", settings.revision) if settings.revision else (str(settings.id), "")

    def known_layers(self, source: Path | None) -> int | None:
        """Return the layers that the folder's configuration names."""
        config = source / "config.json" if source else None
        return layers_in(read_json(config)) if config and config.is_file() else None

    def by_content(self, settings: EncoderSettings, source: Path) -> EncoderSettings:
        """Return settings with a hash of the folder's files for its place; none where it does not exist."""
        revision = _revision(source) if source.is_dir() else None
        return settings.model_copy(update={"id": LOCAL, "revision": revision})

    def convert(self, settings: EncoderSettings, folder: Path, source: Path | None) -> Origin:
        """Write the model into `folder`, without heads, code or pickles."""
        local = source or Path(str(settings.id))
        copy_pretrained(local, folder)
        if settings.revision and content_revision(local) != settings.revision:
            raise MismatchError("the folder changed while the run was going on", where=str(local), hint=PLAN_AGAIN)
        return Origin(card_licence(local), "A folder of the user's own." if settings.revision else str(settings.id))


_revision = cache(content_revision)  # every language may name the same large folder
PROVIDER = LocalFolder()
