"""The errors of this package that callers may want to catch."""

from __future__ import annotations


class KernelError(RuntimeError):
    """A kernel that does not exist or cannot be built, with the place and a hint.

    It is about the machine or the settings, so a program prints it without a traceback.

    Examples:
        >>> print(KernelError("there is no kernel 'c'", where="use_kernel", hint="Known: compiled, torch."))
        use_kernel: there is no kernel 'c'
          Known: compiled, torch.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return the place, what is wrong, and on a line of its own the hint."""
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"


class NonFiniteScores(ValueError):
    """A score of a chain is NaN or infinite, as after a training step that diverged.

    Examples:
        >>> import torch
        >>> from tagdistill.crf import LinearChain
        >>> try:
        ...     LinearChain(torch.full((1, 2, 3), torch.nan), torch.zeros(3, 3), torch.tensor([2]))
        ... except NonFiniteScores as error:
        ...     print(error)
        emissions, start and end: expected finite scores; write -1e4 for what is forbidden, not -inf
    """
