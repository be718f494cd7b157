"""The kernels that the numeric tests run with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from chains import Kernel

from tagdistill.crf import KERNELS, KernelError, use_kernel
from tagdistill.crf.kernels import rows, viterbi
from tagdistill.crf.kernels.cpp.build import find_compiler
from tagdistill.crf.kernels.selection import TABLE, force_kernel

torch.set_num_threads(1)  # thousands of small calls: threads only get in each other's way
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported: its kernels then run on the CPU


@pytest.fixture(scope="session")
def compiler() -> str:
    try:
        return find_compiler()
    except KernelError as error:
        pytest.skip(f"the compiled kernel is not tested: {error.what}")


@pytest.fixture(scope="module", params=KERNELS)
def cpu_kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run all tests of a module with PyTorch's operations and again with the compiled kernel."""
    if request.param == "compiled":
        request.getfixturevalue("compiler")
    with use_kernel(request.param):
        yield request.param


TRITON = pytest.param("triton", marks=[] if torch.cuda.is_available() else pytest.mark.slow)


# "torch" takes scaled or log space, as it serves; "compiled" is cpp. Rows that come later are run as they are.
NAMED = ("torch", "torch in blocks", "log space", "log space in blocks", TRITON, "compiled")
OTHERS = [row.name for row in TABLE if row.name not in ("triton", "cpp", "scaled", "log_space")]


@pytest.fixture(params=[*NAMED, *OTHERS])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Run the test with each kernel: PyTorch's own choice, always in log space, Triton's, and the compiled one.

    "in blocks": sentences leave a scan where they end, and best paths are found a few sentences at a time, as in large
    batches.
    Without a GPU the programs of Triton are interpreted.
    """
    name = request.param
    if name == "compiled":
        request.getfixturevalue("compiler")
    if name.endswith("in blocks"):
        monkeypatch.setattr(rows, "MIN_BLOCK_CELLS", 1)
        monkeypatch.setattr(rows, "MAX_BLOCKS", 2)  # so that some rows are of no token
        monkeypatch.setattr(viterbi, "MAX_TABLE", 1)
        monkeypatch.setattr(viterbi, "MIN_PART", 2)
    device = "cuda" if name == "triton" and torch.cuda.is_available() else "cpu"
    if name == "triton" and device == "cpu":
        pytest.importorskip("triton", reason="no GPU, and no Triton to interpret its programs")
    forced = {"triton": "triton", "log": "log_space"}.get(name.split()[0], name if name in OTHERS else None)
    with use_kernel("compiled" if name == "compiled" else "torch"), force_kernel(forced) if forced else nullcontext():
        yield Kernel(name, device)


@pytest.fixture
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return "cuda"
