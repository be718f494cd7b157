"""Columns made of buffers are the columns that Arrow makes, and are read as Arrow reads them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tagdistill.artifacts.parquet import number_array, numbers_of, text_array

NUMBERS = np.random.default_rng(0).normal(size=12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("step", [1, 2], ids=["whole", "every other"])
def test_numbers_are_those_of_arrow(dtype, step):
    values = (10 * NUMBERS).astype(dtype)[::step]
    ours = number_array(values)
    ours.validate(full=True)
    assert ours.equals(pa.array(values))
    back = numbers_of(pa.chunked_array([ours]))
    assert back.dtype == values.dtype and back.tobytes() == values.tobytes()


@pytest.mark.parametrize("texts", [[], ["train-000001"], ["", "ä", "日本語", "a b\n"]], ids=str)
def test_texts_are_those_of_arrow(texts):
    ours = text_array(texts)
    ours.validate(full=True)
    assert ours.equals(pa.array(texts, pa.string()))


def test_chunks_and_slices_of_lists_are_read_in_order():
    lists = pa.array([[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]], pa.list_(pa.float32()))
    column = pa.chunked_array([lists[1:3], lists[3:], lists[:1]])
    assert numbers_of(column).tolist() == [3.0, 4.0, 5.0, 6.0, 1.0, 2.0]
    fixed = pa.FixedSizeListArray.from_arrays(number_array(np.arange(6)), 2)
    assert numbers_of(pa.chunked_array([fixed[1:]])).tolist() == [2, 3, 4, 5]
    assert numbers_of(pa.chunked_array([], pa.list_(pa.float16()))).dtype == np.float16


def test_values_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="1 values are null"):
        numbers_of(pa.chunked_array([pa.array([1, None, 3])]))
