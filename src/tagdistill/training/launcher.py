"""torchrun without its own report of a failure, so that the log ends with the failing process's own error."""

from __future__ import annotations

import logging
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> None:
    """Run torchrun's command line."""
    logging.disable(logging.ERROR)  # in this process alone
    try:
        run.main()
    except ChildFailedError as error:
        for rank, failure in error.failures.items():
            if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:  # torchrun ends the others so
                name = signal.Signals(-failure.exitcode).name
                print(f"error: process {rank} of the training was ended by {name}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    main()
