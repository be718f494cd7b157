"""A model on the Hugging Face hub, at a commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.encoders.model_files import CARD, CONTENT, card_licence
from tagdistill.encoders.pretrained import copy_pretrained, first_line
from tagdistill.encoders.provider import Origin, Provider
from tagdistill.errors import TagdistillError
from tagdistill.settings.commit import check_commit

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings


class Hub(Provider):
    """Models by id and revision; their code and their pickles are not fetched."""

    needs = (("id", ""), ("revision", "the commit hash of the model to take"))

    def check(self, settings: EncoderSettings, where: str) -> None:
        """Refuse settings without a model, or without its commit."""
        super().check(settings, where)
        check_commit(str(settings.revision), f"{where}.revision")

    def convert(self, settings: EncoderSettings, folder: Path, source: Path | None) -> Origin:
        """Fetch the model, unless it is cached, and write it into `folder`."""
        local = fetch_hub(settings)
        copy_pretrained(local, folder)
        return Origin(card_licence(local), str(settings.id))


def fetch_hub(settings: EncoderSettings) -> Path:
    """Return the local snapshot of a hub model at its pinned revision: safetensors, tokenizer, configuration."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = f"encoder.id: {settings.id} (revision {settings.revision})"
    try:
        return Path(
            snapshot_download(
                str(settings.id),
                revision=settings.revision,
                allow_patterns=[*CONTENT, CARD],
                ignore_patterns=["*/*"],  # exports to other engines
            )
        )
    except LocalEntryNotFoundError as error:
        hint = "Run this step once on a machine with a network (HF_HUB_OFFLINE unset), or use `provider: wheel`."
        reason = first_line(error.__cause__ or error)
        raise TagdistillError(f"not cached, and the hub does not answer: {reason}", where=where, hint=hint) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        hint = "Check the id and the revision; a model with restricted access needs HF_TOKEN."
        raise TagdistillError(f"the hub does not give it: {first_line(error)}", where=where, hint=hint) from error


PROVIDER = Hub()
