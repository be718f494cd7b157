"""Which kernel runs a chain, what is imported for it, and what the package looks like before PyTorch is there."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from enumeration import random_inputs

import tagdistill.crf as crf
from tagdistill.crf import KERNELS, KernelError, LinearChain, use_kernel
from tagdistill.crf.kernels.base import Kernel
from tagdistill.crf.kernels.cpp.kernel import KERNEL
from tagdistill.crf.kernels.selection import TABLE, force_kernel, load, modules

INPUTS = random_inputs([5, 2, 3], 4, seed=1)
WILD = random_inputs([5, 2, 3], 4, seed=1, sd=1e4)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_the_package_nor_the_table_needs_pytorch() -> None:
    run(
        "import sys, tagdistill.crf; from tagdistill.crf import KernelError, NonFiniteScores, kernel; "
        "from tagdistill.crf.kernels.selection import modules; from tagdistill.crf.kernels.cpp.build import build; "
        "modules('compiled'); dir(tagdistill.crf); kernel(); assert 'torch' not in sys.modules"
    )


def test_a_chain_on_the_cpu_imports_neither_triton_nor_the_compiled_kernel() -> None:
    loaded = run(
        "import sys, torch; from tagdistill.crf import LinearChain; had_triton = 'triton' in sys.modules\n"
        "LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.tensor([2])).top_k(2)\n"
        "assert had_triton or 'triton' not in sys.modules\n"
        "print(*(name for name in sys.modules if name.startswith('tagdistill.crf.kernels')))"
    )
    assert "tagdistill.crf.kernels.scaled" in loaded
    assert "cpp" not in loaded and "triton" not in loaded


def test_all_names_are_there_under_a_star_and_others_are_refused() -> None:
    run("from tagdistill.crf import *; LinearChain, TopK, PathCounts, count, use_kernel, kernel, KERNELS, KernelError")
    assert set(crf.__all__) <= set(dir(crf)) and all(hasattr(crf, name) for name in crf.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Chain'"):
        _ = crf.Chain


def test_results_and_chains_can_be_pickled(cpu_kernel: str) -> None:
    c = LinearChain(*INPUTS.arguments())
    again = pickle.loads(pickle.dumps((c, c.top_k(3), c.counts)))  # noqa: S301 (our own bytes)
    copied = copy.deepcopy(c)
    assert c._kernel is KERNEL or cpu_kernel == "torch"
    assert torch.equal(again[0].marginals, c.marginals) and torch.equal(copied.log_partition, c.log_partition)
    assert torch.equal(again[1].labels, c.top_k(3).labels) and torch.equal(again[2].unary, c.counts.unary)
    error = pickle.loads(pickle.dumps(KernelError("is wrong", where="here", hint="Mend it.")))  # noqa: S301
    assert str(error) == "here: is wrong\n  Mend it."


def test_the_modules_of_a_setting_are_those_of_its_rows() -> None:
    every = {row.module for row in TABLE}
    assert set(modules("compiled")) == every
    assert set(modules("torch")) == every - {"tagdistill.crf.kernels.cpp.kernel"}
    assert {row.setting for row in TABLE} <= {None, *KERNELS}
    with pytest.raises(KernelError, match="there is no kernel 'cuda'"):
        modules("cuda")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_names_a_kernel(row) -> None:
    assert isinstance(load(row), Kernel)


def test_the_first_kernel_that_serves_is_taken() -> None:
    by_name = {row.name: load(row) for row in TABLE}
    with use_kernel("torch"):
        assert LinearChain(*INPUTS.arguments())._kernel is by_name["scaled"]
        assert LinearChain(*WILD.arguments())._kernel is by_name["log_space"]
        assert LinearChain(*INPUTS.arguments(), check=False)._kernel is by_name["log_space"]


def test_a_forced_kernel_runs_the_chains_of_its_block_alone() -> None:
    with use_kernel("torch"):
        before = LinearChain(*INPUTS.arguments())
        with force_kernel("log_space"):
            within = LinearChain(*INPUTS.arguments())
            with force_kernel("scaled"):
                inner = LinearChain(*INPUTS.arguments())
            assert LinearChain(*INPUTS.arguments())._kernel is within._kernel
        assert LinearChain(*INPUTS.arguments())._kernel is before._kernel is inner._kernel is not within._kernel
    torch.testing.assert_close(within.marginals, before.marginals, rtol=1e-12, atol=1e-12)


def test_a_kernel_is_not_forced_on_a_chain_that_it_is_not_exact_for() -> None:
    with force_kernel("scaled"), pytest.raises(KernelError, match="scaled: this kernel does not serve the chain"):
        LinearChain(*WILD.arguments())
    with pytest.raises(KernelError, match="Did you mean 'log_space'"), force_kernel("logspace"):
        pass


def test_forcing_the_compiled_kernel_needs_no_setting(compiler: str) -> None:
    with use_kernel("torch"), force_kernel("cpp"):
        c = LinearChain(*WILD.arguments())
    assert c._kernel is load(next(row for row in TABLE if row.name == "cpp"))
    with use_kernel("torch"):
        torch.testing.assert_close(c.log_partition, LinearChain(*WILD.arguments()).log_partition)


class Slow(Kernel):
    """The least that a kernel has to have."""

    def serves(self, potentials):
        return True

    def forward_backward(self, potentials):
        return load(next(row for row in TABLE if row.name == "log_space")).forward_backward(potentials)


def test_a_new_kernel_needs_two_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    with use_kernel("torch"):
        leaves = [x.clone().requires_grad_() for x in INPUTS.leaves()]
        usual, c = LinearChain(*INPUTS.arguments()), LinearChain(*INPUTS.with_leaves(leaves).arguments())
    c._kernel = Slow()
    with torch.no_grad():
        torch.testing.assert_close(c.log_partition, usual.log_partition)
    assert torch.equal(c.argmax, usual.argmax) and torch.equal(c.top_k(5).labels, usual.top_k(5).labels)
    (c.log_prob(c.argmax) + c.entropy()).sum().backward()
    assert all(x.grad is not None for x in leaves)
