"""The precisions of a graph's weights: halves, and bytes with a scale for each row or column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import NodeProto

    from tagdistill.export.graph import Graph

# Older CPUs add two products of bytes in 16 bits: 2 * 255 * 64 just fits, and all CPUs give the same numbers.
MAX_WEIGHT = 64
MIN_WEIGHTS = 1024  # smaller constants stay as they are
ACTIVATIONS = ("Gelu", "Relu")
SMALLEST_ROW = 0.2  # Gelu is never below -0.17: divided by this, all values are between -1 and 1
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

    Weights have a scale for each output, embeddings one for each row; what weights are multiplied with is quantised
    while the graph runs, with one scale for all of it. What follows an activation has single rows of large values
    (those of special pieces): its rows are brought to the same size first, which halves the number of other labels.
    The tagger's own weights are stored as float16.
    """
    return as_halves(_with_byte_products(_with_level_rows(_with_byte_tables(graph))))


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


def _with_level_rows(graph: Graph) -> Graph:
    """Divide the rows of what follows an activation by their largest values, and multiply the products by them."""
    active = {node.output[0] for node in graph.nodes if node.op_type in ACTIVATIONS}
    added: dict[str, NDArray[Any]] = {
        "rows.axis": np.array([-1], np.int64),
        "rows.smallest": np.array(SMALLEST_ROW, np.float32),
    }
    nodes = []
    for node in graph.nodes:
        if node.op_type != "MatMul" or node.input[0] not in active:
            nodes.append(node)
            continue
        (value, weight), result = node.input, node.output[0]
        largest, size, level, product = (f"{result}.{part}" for part in ("largest", "size", "level", "product"))
        nodes += [
            helper.make_node("ReduceMax", [value, "rows.axis"], [largest], keepdims=1),
            helper.make_node("Max", [largest, "rows.smallest"], [size]),
            helper.make_node("Div", [value, size], [level]),
            helper.make_node("MatMul", [level, weight], [product]),
            helper.make_node("Mul", [product, size], [result]),
        ]
    return graph.changed(nodes, graph.constants | added)


def _with_byte_products(graph: Graph) -> Graph:
    constants, nodes = dict(graph.constants), []
    quantised: set[str] = set()
    for node in graph.nodes:
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or not _is_weight(weights) or node.input[1].startswith(OWN):
            nodes.append(node)
            continue
        value, name = node.input
        if value not in quantised:
            quantised.add(value)
            nodes.append(helper.make_node("DynamicQuantizeLinear", [value], _quantised(value)))
        columns, scales = _rounded(constants.pop(name), MAX_WEIGHT, axis=0)
        constants |= {f"{name}.bytes": columns, f"{name}.scales": scales[0]}
        nodes += _byte_product(value, name, node.output[0])
    return graph.changed(nodes, constants)


def _quantised(value: str) -> list[str]:
    """Return the names of a quantised value, its scale and its zero."""
    return [f"{value}.{part}" for part in ("bytes", "scale", "zero")]


def _byte_product(value: str, weight: str, result: str) -> list[NodeProto]:
    data, scale, zero = _quantised(value)
    whole, floats, scales = (f"{result}.{part}" for part in ("whole", "floats", "scales"))
    return [
        helper.make_node("MatMulInteger", [data, f"{weight}.bytes", zero], [whole]),
        helper.make_node("Cast", [whole], [floats], to=TensorProto.FLOAT),
        helper.make_node("Mul", [scale, f"{weight}.scales"], [scales]),
        helper.make_node("Mul", [floats, scales], [result]),
    ]


def _rounded(weights: NDArray[np.float32], largest: int, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights as whole numbers up to `largest`, and their scales: one for all along an axis."""
    scales = np.maximum(np.abs(weights).max(axis=axis, keepdims=True) / largest, np.finfo(np.float32).tiny)
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _is_weight(array: NDArray[Any]) -> bool:
    return array.dtype == np.float32 and array.ndim > 1 and array.size >= MIN_WEIGHTS


PRECISIONS: dict[str, Callable[[Graph], Graph]] = {"fp32": lambda graph: graph, "fp16": as_halves, "int8": as_bytes}
