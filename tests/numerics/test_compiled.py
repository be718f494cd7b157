"""The compiled kernel beside PyTorch's, at sizes that are not listed; its threads; its build."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import tomllib
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from enumeration import Enumeration, Inputs, random_inputs
from torch import Tensor

from tagdistill.crf import KernelError, LinearChain, kernel, use_kernel
from tagdistill.crf.kernels.cpp import bindings, build
from tagdistill.crf.kernels.cpp.kernel import KERNEL
from tagdistill.crf.kernels.selection import VARIABLE

pytestmark = pytest.mark.usefixtures("compiler")


def everything(inputs: Inputs, k: int = 6) -> dict[str, Tensor]:
    """Every operation and gradient."""
    random = torch.Generator().manual_seed(1)
    shape = inputs.emissions.shape
    target = 3 * torch.randn(shape, generator=random, dtype=torch.float64)
    paths = torch.randint(0, shape[2], (shape[0], 3, shape[1]), generator=random)
    weights = torch.rand(shape[0], generator=random, dtype=torch.float64)
    leaves = [x.detach().clone().requires_grad_() for x in inputs.leaves()]
    c = LinearChain(*inputs.with_leaves(leaves).arguments())
    out = {"log_partition": c.log_partition, "marginals": c.marginals, "edges": c.transition_marginals}
    out |= {"log_marginals": c.log_marginals, "entropy": c.entropy(), "paths": c.log_prob_of_paths(paths)}
    out |= {f"posterior {temperature}": c.posterior_cross_entropy(target, temperature) for temperature in (1.0, 2.5)}
    for name, value in list(out.items()):
        scale = weights.view(-1, *(1,) * (value.dim() - 1))
        gradients = torch.autograd.grad((value * scale).sum(), leaves, retain_graph=True)
        out |= {f"{name} -> {i}": g for i, g in enumerate(gradients)}
    top = c.top_k(k)
    out |= {"argmax": c.argmax, "top_k": top.labels, "top_k log_prob": top.log_prob, "count": top.count}
    with torch.no_grad():
        out["log_partition alone"] = LinearChain(*inputs.arguments()).log_partition
    return {name: x.detach() for name, x in out.items()}


def both(inputs: Inputs) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with use_kernel("compiled"):
        found = everything(inputs)
    with use_kernel("torch"):
        return found, everything(inputs)


def lengths(batch: int, time: int) -> list[int]:
    drawn = torch.randint(1, time + 1, (batch,), generator=torch.Generator().manual_seed(batch)).tolist()
    return [time, 1, *drawn[2:]]


@pytest.mark.parametrize("labels", [1, 2, 7, 8, 9, 16, 17, 31, 33, 72])
def test_the_kernels_agree_for_any_number_of_labels(labels: int) -> None:
    found, wanted = both(random_inputs(lengths(9, 13), labels, seed=labels, time=15, sd=2.0))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


def leaves_of(inputs: Inputs) -> list[Tensor]:
    return [x.detach().clone().requires_grad_() for x in inputs.leaves()]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("labels", [1, 5, 9, 17, 26, 33])  # rows of one to five vectors
def test_a_loss_asked_for_first_is_that_of_all_listed_paths(labels: int, temperature: float) -> None:
    inputs, other = (random_inputs([3, 1, 2], labels, seed=seed, time=3) for seed in (labels, labels + 1))
    target, weights = Enumeration(other).log_marginals, torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    ours, listed = leaves_of(inputs), leaves_of(inputs)
    with use_kernel("compiled"):
        c = LinearChain(*inputs.with_leaves(ours).arguments())
        found = c.posterior_cross_entropy(target, temperature)
    wanted = Enumeration(inputs.with_leaves(listed)).posterior_cross_entropy(target, temperature)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-11)
    for a, b in zip(
        torch.autograd.grad((found * weights).sum(), ours, retain_graph=True),
        torch.autograd.grad((wanted * weights).sum(), listed),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("sd", [2.0, 300.0])  # in probability space and in log space
@pytest.mark.parametrize("labels", [9, 40])
def test_results_do_not_depend_on_what_is_asked_for_first(labels: int, sd: float) -> None:
    inputs = random_inputs([6, 1, 4, 2, 5], labels, seed=labels, time=7, sd=sd)
    target = random_inputs([6, 1, 4, 2, 5], labels, seed=1, time=7).emissions
    weight = torch.rand(5, generator=torch.Generator().manual_seed(labels), dtype=torch.float64)

    def results(order: str) -> dict[str, Tensor]:
        ours = leaves_of(inputs)
        c = LinearChain(*inputs.with_leaves(ours).arguments())
        ask = {
            "z": lambda: c._pass.log_partition,
            "m": lambda: c._pass.marginals_in(torch.float32),
            "p": lambda: torch.cat([x.flatten() for x in gradients(c, ours)]),
            "v": lambda: c.posterior_cross_entropy(target, 2.0).detach(),
            "w": lambda: c._pass.weighted_marginals(weight),
            "e": lambda: c._pass.edge_sum(weight),
        }
        return {name: ask[name]() for name in order}

    def gradients(c: LinearChain, ours: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(c.posterior_cross_entropy(target, 2.0).sum(), ours)

    with use_kernel("compiled"):
        wanted = results("zmpvwe")
        for order in ("mzpvew", "pzmvwe", "vpmzew", "wezmpv", "mmvvew", "eppmz", "vwzme"):
            found = results(order)
            assert all(torch.equal(wanted[name], value) for name, value in found.items()), order


@pytest.mark.parametrize("sd", [2.0, 300.0])
def test_a_pass_is_kept_for_gradients_alone(sd: float) -> None:
    inputs = random_inputs([6, 1, 4], 9, sd=sd)
    with use_kernel("compiled"):
        chain = LinearChain(*inputs.arguments())
        _ = chain.marginals, chain.posterior_cross_entropy(inputs.emissions)
        assert chain._pass._state is None and torch.equal(
            chain.log_partition, LinearChain(*inputs.arguments())._pass.log_partition
        )
        _ = chain.transition_marginals
        assert chain._pass._state is not None


@pytest.mark.parametrize("sd", [2.0, 30.0])
@pytest.mark.parametrize("size", [(64, 50, 17), (6, 512, 17), (24, 128, 29)])
def test_the_kernels_agree_at_the_size_of_real_batches(size: tuple[int, int, int], sd: float) -> None:
    batch, time, labels = size
    found, wanted = both(random_inputs(lengths(batch, time), labels, seed=batch, sd=sd))
    for name, value in wanted.items():
        exact = name in ("argmax", "top_k", "count")
        tolerance = 0 if exact else 1e-8 * float(value.abs().max() + 1)
        torch.testing.assert_close(found[name], value, rtol=0, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.slow
def test_no_result_depends_on_the_number_of_threads() -> None:
    inputs = random_inputs(lengths(40, 100), 29, seed=3, sd=2.0)
    threads, results = torch.get_num_threads(), []
    with use_kernel("compiled"):
        try:
            for count in (1, 2, 5):
                torch.set_num_threads(count)
                results.append(everything(inputs))
        finally:
            torch.set_num_threads(threads)
    for name, value in results[0].items():
        if not name.startswith(("paths ->", "entropy ->")):  # PyTorch's own sums are in these
            assert all(torch.equal(value, other[name]) for other in results[1:]), name


@pytest.mark.slow
def test_where_no_thread_can_be_started_the_results_are_the_same() -> None:
    code = """
import pathlib, resource, torch
from tagdistill.crf import LinearChain, use_kernel
use_kernel("compiled")
torch.set_num_threads(1)
torch.manual_seed(0)
given = torch.randn(256, 64, 32), torch.randn(32, 32), torch.full((256,), 64)
wanted = LinearChain(*given).log_partition
torch.set_num_threads(16)  # their stacks take 2 MB each, or more
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (24 << 20), resource.RLIM_INFINITY))
assert torch.equal(LinearChain(*given).log_partition, wanted)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is read where Linux has it")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_each_sentence_is_done_in_the_space_that_is_exact_for_it() -> None:
    tame, wild = random_inputs([30], 9, seed=1), random_inputs([30], 9, seed=2, sd=300.0)
    together = Inputs(torch.cat([tame.emissions, wild.emissions]), *tame.arguments()[1:])
    together = Inputs(together.emissions, together.transitions, torch.tensor([30, 30]), together.start, together.end)
    with use_kernel("compiled"):
        mixed = LinearChain(*together.arguments())
        alone = LinearChain(*tame.arguments())
        assert torch.equal(mixed.marginals[:1], alone.marginals)
        assert torch.equal(mixed.log_partition[:1], alone.log_partition)
    with use_kernel("torch"):
        torch.testing.assert_close(mixed.marginals, LinearChain(*together.arguments()).marginals)


def test_two_threads_may_ask_one_chain_at_once() -> None:
    inputs = random_inputs(lengths(64, 60), 17, sd=300.0)  # in log space, where a pass overwrites what it has read
    with use_kernel("compiled"):
        expected = LinearChain(*inputs.arguments()).marginals
        with ThreadPoolExecutor(2) as pool:
            for _ in range(60):
                chain = LinearChain(*inputs.arguments())
                passed = chain._pass
                found = pool.map(lambda name, of=passed: getattr(of, name), ("marginals", "log_partition"))
                torch.testing.assert_close(next(iter(found)), expected.double(), rtol=0, atol=1e-12)


def test_gradients_need_nothing_of_a_pass_that_is_gone() -> None:
    inputs = random_inputs([6, 1, 4, 2], 3)
    with use_kernel("compiled"):
        chain = LinearChain(*inputs.arguments())
    weight = torch.rand(4, dtype=torch.float64)
    _, adjoint = chain._pass.posterior_cross_entropy(torch.zeros_like(inputs.emissions), 1.0, with_adjoint=True)
    assert adjoint is not None
    expected, read = adjoint(weight), weakref.ref(chain._potentials.layout.lengths)
    del chain, inputs
    gc.collect()
    assert read() is not None, "where a sentence ends is read again"
    for found, before in zip(adjoint(weight), expected, strict=True):
        torch.testing.assert_close(found, before, rtol=0, atol=0)


def test_scores_that_nobody_looked_at_do_no_harm() -> None:
    broken = torch.full((2, 5, 3), torch.nan)
    with use_kernel("compiled"):
        c = LinearChain(broken, torch.zeros(3, 3), torch.tensor([5, 2]), check=False)
        assert c.argmax.min() >= 0 and c.argmax.max() < 3 and c.marginals.shape == (2, 5, 3)
        assert c.top_k(4).labels.max() < 3
        whole = LinearChain(torch.zeros(2, 5, 3), torch.zeros(3, 3), torch.tensor([5, 2]))
        assert whole.posterior_cross_entropy(torch.full((2, 5, 3), -torch.inf)).isnan().all()


# ---- the choice


def test_the_default_is_torch_and_a_choice_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert kernel() == "torch"
    with use_kernel("compiled"):
        assert kernel() == "compiled"
        with use_kernel("torch"):
            assert kernel() == "torch"
        assert kernel() == "compiled"
    assert kernel() == "torch"


def test_a_chain_keeps_the_kernel_it_was_made_with() -> None:
    inputs = random_inputs([4, 2], 3)
    with use_kernel("compiled"):
        fast = LinearChain(*inputs.arguments())
    plain = LinearChain(*inputs.arguments())
    assert fast._kernel is KERNEL
    with use_kernel("compiled"):
        assert plain._kernel is not KERNEL
        assert torch.equal(plain.argmax, fast.argmax)


@pytest.mark.cuda
def test_a_chain_on_a_gpu_never_takes_the_compiled_kernel(cuda: str) -> None:
    with use_kernel("compiled"):
        assert LinearChain(*random_inputs([4, 2], 3).to(cuda).arguments())._kernel is not KERNEL


def test_the_variable_chooses_where_no_code_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")
    assert kernel() == "compiled"
    with use_kernel("torch"):
        assert kernel() == "torch"
    monkeypatch.setenv(VARIABLE, "numba")
    with pytest.raises(KernelError, match="TAGDISTILL_KERNEL: there is no kernel 'numba'"):
        LinearChain(torch.zeros(1, 1, 1), torch.zeros(1, 1), torch.tensor([1]))
    with pytest.raises(KernelError, match="Did you mean 'compiled'"):
        use_kernel("compield")


# ---- the build


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small source of its own, and a cache of its own."""
    folder = tmp_path / "cpp"
    folder.mkdir()
    (folder / "interface.cpp").write_text('#include "answer.h"\nextern "C" int answer() { return ANSWER; }\n')
    (folder / "answer.h").write_text("#define ANSWER 41\n")
    monkeypatch.setattr(build, "FOLDER", folder)
    monkeypatch.setenv("TAGDISTILL_CACHE", str(tmp_path / "cache"))
    return folder


def answer(path: Path) -> int:
    return ctypes.CDLL(str(path)).answer()


def test_a_changed_source_is_built_again(source: Path) -> None:
    first = build.build()
    made = first.stat().st_mtime_ns
    assert build.build() == first and first.stat().st_mtime_ns == made and answer(first) == 41
    (source / "answer.h").write_text("#define ANSWER 42\n")
    second = build.build()
    assert second != first and answer(second) == 42 and answer(first) == 41
    assert {file.name for file in first.parent.iterdir()} == {first.name, second.name}  # nothing half done is left


def test_a_library_is_on_the_disk_before_it_has_its_name(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    flush = os.fsync

    def note(number: int) -> None:
        flushed.append(os.fstat(number).st_ino)
        flush(number)

    monkeypatch.setattr(os, "fsync", note)
    assert flushed == [build.build().stat().st_ino]


def test_other_flags_are_another_library(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.build()
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O1"))
    assert build.build() != first


def test_a_source_that_does_not_compile_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (source / "answer.h").write_text("#error on purpose\n")
    with pytest.raises(KernelError, match="the C\\+\\+ compiler failed"):
        build.build()
    assert not list((tmp_path / "cache").iterdir())


def test_without_a_compiler_the_error_says_what_to_install(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(KernelError, match=r"needs a C\+\+ compiler(.|\n)*apt install g\+\+"):
        build.build()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(KernelError, match="no-such-compiler"):
        build.build()


@pytest.mark.parametrize("cache", ["file/cache", "x" * 300])  # looking into the second fails, as without permission
def test_a_cache_that_cannot_be_written_is_said(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAGDISTILL_CACHE", str(tmp_path / cache))
    with pytest.raises(KernelError, match=r"cannot be written(.|\n)*TAGDISTILL_CACHE"):
        build.build()


def test_the_cache_may_be_the_folder_one_stands_in(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAGDISTILL_CACHE", ".")
    assert answer(build.build()) == 41


def test_a_library_that_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.so").write_text("not a library")
    monkeypatch.setattr(bindings, "build", lambda: tmp_path / "broken.so")
    with pytest.raises(KernelError, match=r"broken.so: cannot be loaded(.|\n)*built again"):
        bindings.load.__wrapped__()


@pytest.mark.slow
def test_two_builds_at_once_make_one_whole_library(source: Path) -> None:
    code = (
        "import pathlib; from tagdistill.crf.kernels.cpp import build\n"
        f"build.FOLDER = pathlib.Path({str(source)!r}); print(build.build())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    paths = {out.strip() for out, _ in said}
    assert len(paths) == 1 and answer(Path(paths.pop())) == 41


def test_the_package_carries_its_source() -> None:
    assert (build.FOLDER / build.SOURCE).is_file()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    endings = {pattern.rpartition(".")[2] for pattern in project["tool"]["setuptools"]["package-data"]["tagdistill"]}
    assert {file.suffix[1:] for file in build.FOLDER.iterdir()} <= endings
