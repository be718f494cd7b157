"""The precisions of a graph's weights: halves, and bytes with a scale for each row or column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from tagdistill.export.graph import RUNTIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import NodeProto

    from tagdistill.export.graph import Graph

# Older CPUs add two products of bytes in 16 bits: 2 * 255 * 64 just fits, and all CPUs give the same numbers.
MAX_WEIGHT = 64
MIN_WEIGHTS = 1024  # smaller constants stay as they are
ACTIVATIONS = ("Gelu", "Relu")
LIFT = 0.1701  # added to what follows an activation: Gelu is never below -0.17, so that its bytes start at 0
STEP, LIFTED_STEP = 1 / 127, 1 / 255  # of a byte, where the largest value of a row is 1
SMALLEST_ROW = 1e-12  # rows are divided by their largest values
OWN = "tagger."  # names of the tagger's own weights
PIECES = "embeddings.word_embeddings.weight"
TABLES = (PIECES, "embeddings.position_embeddings.weight")


def with_pieces(graph: Graph, rows: NDArray[np.int64]) -> Graph:
    """Return a graph with some rows of its table of pieces."""
    return graph.changed(graph.nodes, graph.constants | {PIECES: graph.constants[PIECES][rows]})


def as_halves(graph: Graph) -> Graph:
    """Return a graph whose weights are stored as float16; it computes in float32, so that it is exact for such weights.

    ONNX Runtime converts them once, when it opens the graph.
    """
    constants, casts = {}, []
    for name, array in graph.constants.items():
        if _is_weight(array):
            constants[f"{name}.half"] = array.astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
        else:
            constants[name] = array
    return graph.changed([*casts, *graph.nodes], constants)


def as_bytes(graph: Graph) -> Graph:
    """Return a graph that multiplies int8 matrices.

    Weights have a scale for each output, embeddings one for each row. What weights are multiplied with is quantised
    while the graph runs, with a scale for each piece: a text's emissions do not depend on the others in its batch, and
    special pieces, whose values are large, cost the others nothing. The tagger's own weights are stored as float16.
    """
    return as_halves(_with_byte_products(_with_byte_tables(graph)))


def _with_byte_tables(graph: Graph) -> Graph:
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        if node.op_type not in ("Gather", "Slice") or node.input[0] not in TABLES:
            nodes.append(node)
            continue
        table, result = node.input[0], node.output[0]
        rows, scales = _rounded(constants.pop(table), 127, axis=1)
        for part, array in (("bytes", rows), ("scales", scales)):
            constants[f"{table}.{part}"] = array
            nodes.append(helper.make_node(node.op_type, [f"{table}.{part}", *node.input[1:]], [f"{result}.{part}"]))
        nodes.append(helper.make_node("Cast", [f"{result}.bytes"], [f"{result}.floats"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{result}.floats", f"{result}.scales"], [result]))
    return graph.changed(nodes, constants)


def _with_byte_products(graph: Graph) -> Graph:
    lifted = {node.output[0] for node in graph.nodes if node.op_type in ACTIVATIONS}
    constants, nodes = graph.constants | _CONSTANTS, []
    quantised: set[str] = set()
    for node in graph.nodes:
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or not _is_weight(weights) or node.input[1].startswith(OWN):
            nodes.append(node)
            continue
        (value, name), result = node.input, node.output[0]
        nodes += [] if value in quantised else _quantised(value, lifted=value in lifted)
        quantised.add(value)
        columns, scales = _rounded(constants.pop(name), MAX_WEIGHT, axis=0)
        constants |= {f"{name}.bytes": columns, f"{name}.scales": scales[0]}
        if value in lifted:
            constants[f"{name}.lift"] = (LIFT * columns.sum(0, dtype=np.int64) * scales[0]).astype(np.float32)
            nodes += _byte_product(value, name, f"{result}.lifted", lifted=True)
            nodes.append(helper.make_node("Sub", [f"{result}.lifted", f"{name}.lift"], [result]))
        else:
            nodes += _byte_product(value, name, result, lifted=False)
    return graph.changed(nodes, constants)


_CONSTANTS: dict[str, NDArray[Any]] = {
    "rows.axis": np.array([-1], np.int64),
    "rows.smallest": np.array(SMALLEST_ROW, np.float32),
    "rows.step": np.array(STEP, np.float32),
    "rows.middle": np.array(128, np.uint8),
    "rows.lift": np.array(LIFT, np.float32),
    "rows.lifted_step": np.array(LIFTED_STEP, np.float32),
    "rows.none": np.array(0, np.uint8),
}


def _quantised(value: str, *, lifted: bool) -> list[NodeProto]:
    """Return what makes VALUE.bytes and VALUE.size, by rows: symmetric about 128, or of a lifted value from 0 up."""
    step, zero = ("rows.lifted_step", "rows.none") if lifted else ("rows.step", "rows.middle")
    largest, size, factor, level = (f"{value}.{part}" for part in ("largest", "size", "factor", "level"))
    positive = f"{value}.positive"
    first = ("Add", [value, "rows.lift"]) if lifted else ("Abs", [value])
    return [
        helper.make_node(*first, [positive]),
        helper.make_node("ReduceMax", [positive, "rows.axis"], [largest], keepdims=1),
        helper.make_node("Max", [largest, "rows.smallest"], [size]),
        helper.make_node("Reciprocal", [size], [factor]),
        helper.make_node("Mul", [positive if lifted else value, factor], [level]),
        helper.make_node("QuantizeLinear", [level, step, zero], [f"{value}.bytes"]),
    ]


def _byte_product(value: str, weight: str, result: str, *, lifted: bool) -> list[NodeProto]:
    step, zero = ("rows.lifted_step", "rows.none") if lifted else ("rows.step", "rows.middle")
    inputs = [f"{value}.bytes", f"{weight}.bytes", step, f"{weight}.scales", zero]
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{result}.level"], domain=RUNTIME),
        helper.make_node("Mul", [f"{result}.level", f"{value}.size"], [result]),
    ]


def _rounded(weights: NDArray[np.float32], largest: int, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights as whole numbers up to `largest`, and their scales: one for all along an axis."""
    scales = np.maximum(np.abs(weights).max(axis=axis, keepdims=True) / largest, np.finfo(np.float32).tiny)
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _is_weight(array: NDArray[Any]) -> bool:
    return array.dtype == np.float32 and array.ndim > 1 and array.size >= MIN_WEIGHTS


PRECISIONS: dict[str, Callable[[Graph], Graph]] = {"fp32": lambda graph: graph, "fp16": as_halves, "int8": as_bytes}
