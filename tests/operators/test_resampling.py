"""Transposed convolution, and depth against space, against ONNX Runtime."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.errors import ShapeError
from dlcompile.graph import make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime

FEW = settings(max_examples=25, deadline=None)


@FEW
@given(st.data())
def test_conv_transpose(data):
    n = data.draw(st.integers(1, 2))
    groups, per_in, per_out = (data.draw(st.integers(1, 2)) for _ in range(3))
    spatial, kernel = ([data.draw(st.integers(2, high)) for _ in range(n)] for high in (5, 3))
    strides, dilations = ([data.draw(st.integers(1, 3)) for _ in range(n)] for _ in range(2))
    extra = [data.draw(st.integers(0, s - 1)) for s in strides]  # (more than ONNX Runtime takes is well defined, but not asked of it)
    padding = [(data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))) for _ in range(n)]
    x, w = normal(2, groups * per_in, *spatial), normal(groups * per_in, per_out, *kernel)
    (expected,) = onnx_runtime("ConvTranspose", [x, w], strides=strides, dilations=dilations, group=groups, output_padding=extra,
                               pads=[p[0] for p in padding] + [p[1] for p in padding])
    options = dict(strides=strides, padding=padding, output_padding=extra, dilations=dilations, groups=groups)
    check(lambda s, t: ops.conv_transpose(s, t, **options), [x, w], expected, rtol=1e-5, atol=1e-5, fixed=(1,))
    last = [np.ascontiguousarray(np.moveaxis(x, 1, -1)), np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))]
    check(lambda s, t: ops.conv_transpose(s, t, **options, layout="channels_last"), last, np.moveaxis(expected, 1, -1), rtol=1e-5, atol=1e-5, fixed=None)


@pytest.mark.parametrize("blocksize", [1, 2, 3])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(blocksize, mode):
    x = normal(2, 2 * blocksize ** 2, 4, 5)
    (expected,) = onnx_runtime("DepthToSpace", [x], blocksize=blocksize, mode=mode)
    check(lambda t: ops.depth_to_space(t, blocksize=blocksize, mode=mode), [x], expected, fixed=(1,))
    wide = normal(2, 3, 4 * blocksize, 5 * blocksize)
    (deep,) = onnx_runtime("SpaceToDepth", [wide], blocksize=blocksize)
    check(lambda t: ops.space_to_depth(t, blocksize=blocksize), [wide], deep, fixed=(2, 3))


def test_space_of_symbols():
    n, h = symbol("n"), symbol("h")
    x = make_input("x", np.float32, (n, 8, h, 2 * h))
    assert ops.depth_to_space(x, blocksize=2).shape == (n, 2, 2 * h, 4 * h)
    assert ops.space_to_depth(make_input("y", np.float32, (n, 3, 2 * h, 4)), blocksize=2).shape == (n, 12, h, 2)
    with pytest.raises(ShapeError):
        ops.depth_to_space(make_input("z", np.float32, (1, 6, 2, 2)), blocksize=2)
