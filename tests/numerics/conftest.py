"""The kernels that the numeric tests run with."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from chains import Kernel

from tagdistill.crf import use_kernel
from tagdistill.crf.kernels import rows, scaled
from tagdistill.crf.kernels.cpp.build import find_compiler
from tagdistill.crf.kernels.triton import kernel as fused
from tagdistill.errors import TagdistillError

torch.set_num_threads(1)  # thousands of small calls: threads only get in each other's way
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported: its kernels then run on the CPU


@pytest.fixture(scope="session")
def compiler() -> str:
    try:
        return find_compiler()
    except TagdistillError as error:
        pytest.skip(f"the compiled kernel is not tested: {error.what}")


@pytest.fixture(scope="module", params=["torch", "compiled"])
def cpu_kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run all tests of a module with PyTorch's operations and again with the compiled kernel."""
    if request.param == "compiled":
        request.getfixturevalue("compiler")
    with use_kernel(request.param):
        yield request.param


ON_GPU = pytest.param("fused", marks=[] if torch.cuda.is_available() else pytest.mark.slow)


@pytest.fixture(params=["scaled", "scaled in blocks", "wide", "wide in blocks", ON_GPU, "compiled"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Run the test with each kernel: in probability space, in log space, the compiled one, and the GPU's.

    "in blocks": sentences leave a scan where they end, as they do in large batches.
    Without a GPU the GPU's own are interpreted.
    """
    if request.param == "compiled":
        request.getfixturevalue("compiler")
    with use_kernel("compiled" if request.param == "compiled" else "torch"):
        yield _kernel(request.param, monkeypatch)


def _kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    if name.endswith("in blocks"):
        monkeypatch.setattr(rows, "WORTH", 1)
        monkeypatch.setattr(rows, "MOST", 2)  # so that some rows are of no token
    if name.startswith("wide"):
        monkeypatch.setattr(scaled, "rescale_interval", lambda potentials: 0)
    if name != "fused":
        return Kernel(name)
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
