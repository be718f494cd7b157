"""A way to run a chain, as the fixture `kernel` gives it to the numeric tests."""

from __future__ import annotations

from dataclasses import dataclass

from enumeration import Inputs

from tagdistill.crf import LinearChain


@dataclass(frozen=True)
class Kernel:
    """One way to run a chain, and the device of its tensors."""

    name: str
    device: str = "cpu"

    @property
    def interpreted(self) -> bool:
        return self.name == "triton" and self.device == "cpu"

    def chain(self, inputs: Inputs, **options: bool) -> LinearChain:
        return LinearChain(*inputs.to(self.device).arguments(), **options)
