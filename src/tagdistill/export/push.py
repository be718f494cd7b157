"""Upload an exported student to the Hugging Face Hub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json
from tagdistill.artifacts.stored_file import EXPORT
from tagdistill.errors import DataError, TagdistillError
from tagdistill.tagger.folder import RECORD, TOKENIZER, Record, graph_file, how_to_export

if TYPE_CHECKING:
    from pathlib import Path

CARD, CONFIG = "README.md", "config.json"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HIDDEN = ("**/.*", ".*")  # files of other programs, such as Snakemake's
UNREACHABLE = frozenset({"TransportError", "ConnectionError", "Timeout", "TimeoutError"})
NETWORK = "Look at the network connection and at HF_ENDPOINT and HF_HUB_OFFLINE, if they are set; then push again."
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload a folder as one commit, and return its address.

    Raises TagdistillError, before anything is uploaded, for a folder that holds no whole student with its card.
    """
    from huggingface_hub import HfApi

    if not REPOSITORY.fullmatch(repository):
        raise TagdistillError("is no name of a repository", where=repository, hint="Give OWNER/NAME.")
    check_whole(folder)
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Upload with tagdistill", ignore_patterns=[*HIDDEN]
        )
    except Exception as error:  # of the network, the Hub, or the name
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        if _is_unreachable(error):
            raise TagdistillError(f"the Hub is not reached: {first}", where=repository, hint=NETWORK) from error
        raise TagdistillError(f"the Hub does not take it: {first}", where=repository, hint=LOG_IN) from error
    return str(done.commit_url)


def _is_unreachable(error: Exception) -> bool:
    """Whether no answer came: the client of huggingface_hub, httpx or requests, has an error of its own for that."""
    return not UNREACHABLE.isdisjoint(kind.__name__ for kind in type(error).__mro__)


def check_whole(folder: Path) -> None:
    """Refuse a folder without a student or its card, or with a file that was altered."""
    if not folder.is_dir():
        raise DataError("no such folder", where=str(folder), hint=how_to_export(folder))
    if (folder / RECORD).is_file():
        record = Record.read(folder)
        record.check_files(folder, [TOKENIZER, *map(graph_file, record.graphs)])
    elif not (folder / CONFIG).is_file() or "kind" not in read_json(folder / CONFIG):
        hint = f"`{EXPORT}` and `tagdistill to-transformers` write them."
        raise DataError("holds no exported student", where=str(folder), hint=hint)
    if not (folder / CARD).is_file():
        hint = f"Push a folder that `{EXPORT}` wrote: its card says what the model is for."
        raise DataError(f"has no model card ({CARD})", where=str(folder), hint=hint)
