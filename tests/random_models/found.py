"""What random models have found: the smallest model for each mistake that was made, kept so that none is made again."""
from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.random_models import values as v
from tests.random_models.builder import Builder, RandomModel, Value
from tests.random_models.tolerance import EXACT, SUM, TRANSCENDENTAL

OPSET = 22
FOUND: dict[str, Callable[[Builder], object]] = {}


def found(make: Callable[[Builder], object]) -> Callable[[Builder], object]:
    FOUND[make.__name__] = make
    return make


def models(prefix: str = "") -> list[RandomModel]:
    """Each as a model, all of one opset."""
    made = []
    for name, make in FOUND.items():
        builder = Builder(Random(name), OPSET, f"{prefix}{name}_")
        builder.symbolic = False
        make(builder)
        made.append(builder.model(name))
    return made


def given(b: Builder, *shape: int, dtype=np.float32, symbols: bool = False) -> Value:
    """An input of the model of ordinary numbers; with `symbols` every extent is a symbol."""
    value = b.given(v.ordinary(b.numbers, np.dtype(dtype), shape), constant=0)
    if symbols:
        b.symbolic = True
        b.symbols.update(dict.fromkeys(shape, True))
    return value


# -- shapes -----------------------------------------------------------------------------------------------------------------------
@found
def slice_backwards_of_nothing(b):
    """The first element of an empty slice was placed outside of the axis."""
    b.add("Slice", [given(b, 3, 2), b.integers([1]), b.integers([-1]), b.integers([0]), b.integers([-100])], tolerance=EXACT)


@found
def slices_of_what_data_left_empty(b):
    """An axis whose size only the run knows was taken to have a first and a last element."""
    (nothing,) = b.add("NonZero", [b.given(np.zeros(3, np.float32), constant=0)], tolerance=EXACT)
    for start, end, step in ((0, 2**31 - 1, -2), (-1, 2**31 - 1, 1), (0, 1, 1), (-1, -3, -1), (0, -1, 1)):
        b.add("Slice", [nothing, b.integers([start]), b.integers([end]), b.integers([1]), b.integers([step])], tolerance=EXACT)


@found
def pool_of_no_images(b):
    b.add("MaxPool", [given(b, 0, 2, 4, 5)], tolerance=EXACT, kernel_shape=[3, 2])


@found
def center_crop_and_pad_of_symbols(b):
    """Whether a symbol is cropped or padded was decided when it could not be."""
    b.add("CenterCropPad", [given(b, 5, 1, 2, symbols=True), b.integers([3, 3, 3])], tolerance=EXACT)


@found
def hardmax_of_nothing(b):
    b.add("Hardmax", [given(b, 0)], tolerance=EXACT)


@found
def hardmax_of_nothing_symbolic(b):
    b.add("Hardmax", [given(b, 2, 0, symbols=True)], tolerance=EXACT, axis=1)


# -- small integer constants, which are folded as dimensions are ------------------------------------------------------------------
@found
def bitwise_or_of_constants(b):
    """Was the logical one."""
    x = b.constant(np.array([9, -3, -7, 0, 2], np.int16))
    b.add("BitwiseOr", [x, x], tolerance=EXACT)
    b.add("BitwiseAnd", [x, b.constant(np.array([3], np.int16))], tolerance=EXACT)
    b.add("BitwiseNot", [x], tolerance=EXACT)


@found
def constants_that_wrap(b):
    """Integers of Python do not."""
    x = b.constant(np.array([[2**63 - 1, 5, -2**63]], np.int64))
    b.add("ReduceL1", [x], tolerance=EXACT)
    b.add("Add", [x, x], tolerance=EXACT)
    b.add("Mul", [b.constant(np.array([200, 100], np.uint8)), b.constant(np.array([2], np.uint8))], tolerance=EXACT)


# -- types ------------------------------------------------------------------------------------------------------------------------
@found
def shrink_of_unsigned(b):
    b.add("Shrink", [given(b, 7, dtype=np.uint64)], lambd=2.0, bias=1.0)


@found
def roots_of_integers(b):
    x = b.given(b.numbers.integers(1, 9, (3, 4)).astype(np.int32), constant=0)
    for op in ("ReduceL2",):
        b.add(op, [x, b.integers([1])], tolerance=SUM)




@found
def power_to_a_wider_exponent(b):
    """The exponent was rounded to the type of the base: to 0, to which everything is 1."""
    exponent = b.constant(np.array([5e-324, 1.0001, 2.0]))
    b.add("Pow", [b.given(np.array([[2.0, 3.0, -1.5]], np.float32), constant=0), exponent], tolerance=TRANSCENDENTAL)
    b.add("Pow", [b.given(np.array([[-2.0, 3.0, -1.5]], np.float16), constant=0), exponent], tolerance=TRANSCENDENTAL)


# -- kernels ----------------------------------------------------------------------------------------------------------------------
@found
def pool_with_padding_along_the_lanes(b):
    """Whether an element is in the padding was asked once for a block of columns, of a column that was not declared."""
    x = given(b, 2, 3, 5, 9, symbols=True)
    b.pinned[x.name] = {2}
    b.add("AveragePool", [x], tolerance=SUM, ceil_mode=1, kernel_shape=[3, 1], strides=[1, 2])


@found
def nothing_left_of_a_sum(b):
    """Loops that run over nothing were made one by dividing by their extents."""
    x = given(b, 2, 2, 7, 5)
    y, = b.add("ReduceSumSquare", [b.add("Selu", [x])[0], b.integers([0])], tolerance=SUM)
    b.add("CenterCropPad", [y, b.integers([0])], tolerance=SUM, axes=[2])


@found
def groups_of_weights_that_are_an_input(b):
    """Only weights known to the compiler could be packed a group at a time."""
    b.add("Conv", [given(b, 2, 6, 7, 4), given(b, 15, 2, 3, 2)], tolerance=SUM, group=3, pads=[1, 2, 0, 3])
    b.add("ConvTranspose", [given(b, 1, 6, 2, 7), given(b, 6, 2, 3, 3)], tolerance=SUM, group=2)
    b.add("Conv", [given(b, 1, 3, 6, 6), given(b, 6, 1, 3, 3)], tolerance=SUM, group=3)


@found
def a_few_of_the_dimensions(b):
    """A choice among dimensions that is already made was written as a condition."""
    x = given(b, 2, 2, 13, 5, symbols=True)
    y, = b.add("MaxPool", [x], tolerance=EXACT, kernel_shape=[2, 1], dilations=[2, 1], pads=[1, 0, 1, 0], strides=[1, 2])
    b.add("GatherND", [y, b.constant(np.array([[1, -3], [1, -11]]))], tolerance=EXACT, batch_dims=1)


@found
def transposed_convolution_with_more_padding_than_kernel(b):
    """Padding below zero, made explicit, was no padding."""
    b.add("ConvTranspose", [given(b, 1, 1, 7), given(b, 1, 2, 1)], tolerance=SUM, pads=[2, 0])


@found
def slice_to_the_lowest_integer(b):
    """What stands for "to the start" was added to a symbol."""
    x = given(b, 3, 7, symbols=True)
    b.add("Slice", [x, b.integers([-7, 8]), b.integers([-2**63, 1]), None, b.integers([-1, 1])], tolerance=EXACT)


@found
def scan_over_what_a_loop_collects(b):
    """What lies in memory that has grown was taken for memory that still grows: a null pointer was read."""
    x, limit = given(b, 5, 2), b.given(np.array(3, np.int64), constant=0)
    true, stop = b.constant(np.array(True)), b.constant(np.array(1, np.int64))
    state, collected = b.results(2)
    body = helper.make_graph(
        [helper.make_node("Abs", ["s"], ["next"]), helper.make_node("Tanh", ["next"], ["item"]), helper.make_node("Less", ["i", stop.name], ["on"])],
        "body", [info("i", TensorProto.INT64), info("c", TensorProto.BOOL), info("s", TensorProto.FLOAT, 5, 2)],
        [info("on", TensorProto.BOOL), info("next", TensorProto.FLOAT, 5, 2), info("item", TensorProto.FLOAT, 5, 2)])
    values = b.add_nodes([helper.make_node("Loop", [limit.name, true.name, x.name], [state, collected], body=body)], [limit, true, x, stop], SUM)
    step = helper.make_graph([helper.make_node("Sub", ["p", "q"], ["p2"]), helper.make_node("Identity", ["p"], ["o"])], "step",
                             [info("p", TensorProto.FLOAT, 5, 2), info("q", TensorProto.FLOAT, 5, 2)],
                             [info("p2", TensorProto.FLOAT, 5, 2), info("o", TensorProto.FLOAT, 5, 2)])
    start = given(b, 5, 2)
    b.add_nodes([helper.make_node("Scan", [start.name, values[1].name], b.results(2), body=step, num_scan_inputs=1)], [start, values[1]], SUM)


@found
def sum_before_a_product_with_a_vector(b):
    """A product of matrix and vector was taken to have an axis of outputs."""
    y, = b.add("Gemm", [given(b, 17, 5), given(b, 5, 5), b.constant(v.ordinary(b.numbers, v.FLOAT32, (1, 5)))], tolerance=SUM)
    b.add("MatMul", [y, b.constant(v.ordinary(b.numbers, v.FLOAT32, (5,)))], tolerance=SUM)


@found
def empty_slice_of_a_slice(b):
    x = given(b, 8, 6, 3, symbols=True)
    b.pinned[x.name] = {0}
    y, = b.add("Slice", [x, b.integers([1]), b.integers([7]), b.integers([0])], tolerance=EXACT)
    b.add("Slice", [y, b.integers([0]), b.integers([-7]), b.integers([0]), b.integers([2])], tolerance=EXACT)


@found
def slice_of_a_choice(b):
    """The check that an axis is not empty forgot what the axis's extent is defined by."""
    x, first = given(b, 3, 5), b.given(np.array(True), constant=0)
    out, = b.results()
    sides = {"then_branch": "Abs", "else_branch": "Transpose"}
    branches = {side: helper.make_graph([helper.make_node(op, [x.name], [f"{out}_{op}"])], side, [], [onnx.ValueInfoProto(name=f"{out}_{op}")])
                for side, op in sides.items()}
    y, = b.add_nodes([helper.make_node("If", [first.name], [out], **branches)], [first, x], EXACT)
    b.add("Slice", [y, b.integers([0, -1]), b.integers([0, 1])], tolerance=EXACT)
    b.add("Slice", [y, b.integers([-1]), b.integers([2**63 - 1])], tolerance=EXACT)


def info(name: str, kind: int, *shape: int):
    return helper.make_tensor_value_info(name, kind, shape)


@found
def squares_beyond_16_bits(b: Builder) -> None:
    """The steps of a reduction are not rounded to 16 bits one by one."""
    x = b.given(np.array([[300, -400, 2], [20, 0.001, -3]], np.float16), constant=0)
    for op in ("ReduceL2", "ReduceSumSquare", "ReduceL1"):
        b.add(op, [x, b.integers([1])], tolerance=SUM)


@found
def pool_whose_windows_lie_half_outside(b: Builder) -> None:
    """Vectorised by gcc, one element was read under another's condition."""
    x = given(b, 1, 2, 3, 2)
    b.add("AveragePool", [x], tolerance=SUM, count_include_pad=1, kernel_shape=[3, 3], pads=[2, 1, 2, 1], strides=[3, 1])
    b.add("MaxPool", [x], tolerance=EXACT, kernel_shape=[3, 3], pads=[2, 1, 2, 1], strides=[3, 1])


@found
def large_odd_exponents(b: Builder) -> None:
    """Rounded to float32 they were even."""
    x = b.given(np.array([-1, -0.0, -np.inf, 2], np.float32), constant=0)
    b.add("Pow", [x, b.given(np.array([2**31 - 1, -2**31 + 1, 2**31 - 1, 3], np.int32), constant=0)], tolerance=EXACT)


@found
def elements_of_what_a_row_keeps(b: Builder) -> None:
    """Two elements of a softmax were read before the loop that computes it."""
    y, = b.add("Softmax", [given(b, 2)], tolerance=TRANSCENDENTAL)
    b.add("OneHot", [b.given(np.array([1, 0]), constant=0), b.given(np.float32(4), constant=0), y], tolerance=TRANSCENDENTAL)


@found
def slopes_of_a_size_from_data(b: Builder) -> None:
    """A slope whose extent only a run knows, and which broadcasts there."""
    chosen, = b.add("Compress", [given(b, 3), b.given(np.array([False, True, False]), constant=0)], tolerance=EXACT)
    b.add("PRelu", [given(b, 2, 3), chosen], tolerance=SUM)
