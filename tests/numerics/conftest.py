"""The kernels that the numeric tests run with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
import torch
from enumeration import Inputs

from tagdistill.crf import LinearChain, fused, scaled

torch.set_num_threads(1)  # thousands of small calls: threads only get in each other's way
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported: its kernels then run on the CPU


@dataclass(frozen=True)
class Kernel:
    """One way to run a chain, and the device of its tensors."""

    name: str
    device: str = "cpu"

    @property
    def interpreted(self) -> bool:
        return self.name == "fused" and self.device == "cpu"

    def chain(self, inputs: Inputs, **options: bool) -> LinearChain:
        return LinearChain(*inputs.to(self.device).arguments(), **options)


@pytest.fixture(params=["scaled", "wide", "fused"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Run the test in probability space, in log space, and with the GPU's kernels: on a GPU, or else interpreted."""
    if request.param == "wide":
        monkeypatch.setattr(scaled, "rescale_interval", lambda potentials: 0)
    if request.param != "fused":
        return Kernel(request.param)
    if not torch.cuda.is_available():
        pytest.importorskip("triton", reason="no GPU, and no Triton to interpret the GPU's kernels")
        monkeypatch.setattr(fused, "serves", lambda scores: True)
        return Kernel("fused")
    return Kernel("fused", "cuda")


@pytest.fixture
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return "cuda"
