"""Commits on the Hugging Face hub: what a config pins a model or a data set to."""

from __future__ import annotations

import re

from tagdistill.errors import ConfigError

FULL_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
HINT = "Pin the commit, all 40 digits (the page of the repository, 'History'): a branch or a tag changes under you."


def check_commit(revision: str, where: str) -> None:
    """Raise ConfigError for a revision that is no full commit hash."""
    if not FULL_COMMIT.match(revision):
        raise ConfigError(f"{revision!r} is not a commit", where=where, hint=HINT)
