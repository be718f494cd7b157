"""Snakemake's locks of a folder in which several experiments run at the same time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator

TURN = "tagdistill.lock"  # held while a run looks for others and writes its own locks
PATIENCE = 300.0  # seconds, with other runs that are about to begin
OURS = "locks_of_others_stay"  # the mark of a class that has been changed


def keep_locks_of_others() -> None:
    """Make a run that ends remove its own locks alone, and let one at a time look for others and write its own.

    Snakemake removes all locks of the folder as any run ends, even one with nothing to do: a third one could then make
    the results that the first is making, and `tagdistill clean` would not know of it. `--unlock` still removes all.
    """
    with suppress(ImportError):  # of another version
        from snakemake.persistence.file import FilePersistence

        if not hasattr(FilePersistence, OURS):
            _change(FilePersistence)


def _change(persistence: Any) -> None:
    lock, delete_all = persistence.lock, persistence._delete_locks

    def delete_own(self: Any) -> None:
        for file in self._lockfile.values():
            Path(file).unlink(missing_ok=True)
        self._lockfile.clear()

    @contextmanager
    def lock_in_turn(self: Any) -> Iterator[None]:
        from snakemake.exceptions import WorkflowError

        from tagdistill.artifacts.locks import locked

        with ExitStack() as stack:
            try:
                with locked(Path(self.path) / TURN, "beginning a run", PATIENCE):
                    stack.enter_context(lock(self))
            except TagdistillError as error:  # Snakemake shows a traceback of all errors but its own
                raise WorkflowError(str(error)) from None
            yield

    persistence.lock, persistence._delete_locks, persistence.cleanup_locks = lock_in_turn, delete_own, delete_all
    setattr(persistence, OURS, True)
