"""`tagdistill --help`: the commands under headings, people's commands first.

Typer's own headings need rich, whose import makes `--help` slower than the commands that it lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

DATA = "Config and data"
RUN = "A run"
RESULTS = "Results"
MODELS = "Models"
STAGES = "Stages (called by the workflow)"
HEADINGS = (DATA, RUN, RESULTS, MODELS, STAGES)
OTHER = "Commands"
MAX_SUMMARY = 200  # characters of a command's summary, its first sentence


class GroupedCommands(TyperGroup):
    """A group that lists its commands under HEADINGS, in the order in which they were added.

    The heading of a command is its `rich_help_panel`; commands without one come last.
    """

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands and the first sentence of what each of them does."""
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in (*HEADINGS, OTHER)}
        width = max(map(len, self.commands))
        for name in self.list_commands(ctx):
            command = self.commands[name]
            heading = getattr(command, "rich_help_panel", None)
            section = sections[heading if heading in HEADINGS else OTHER]
            section.append((name.ljust(width), command.get_short_help_str(MAX_SUMMARY)))
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
