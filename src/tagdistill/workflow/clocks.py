"""Results that were made by a clock which was ahead."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def accept_inputs_of_the_future(rules: Iterable[Any]) -> None:
    """Let the jobs of some rules end well although a file that they read is younger than what they made.

    Snakemake removes what such a job made, a training of hours, and so again in each run until the clock has caught up
    with the one that made the inputs: it was set back, or is that of another machine. Which results are up to date is
    told by their keys, not by times.
    """
    ours = set(rules)
    with suppress(ImportError, AttributeError):  # of another version
        from snakemake.dag import DAG

        check = DAG.check_output_mtime

        async def check_of_other_rules(dag: Any, job: Any, outputs: Any) -> None:
            if job.rule not in ours:
                await check(dag, job, outputs)

        DAG.check_output_mtime = check_of_other_rules
