"""Sampling, regions, transforms of signals, determinants and training steps: compiled, against the onnx reference evaluator and NumPy."""
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.frontends.onnx import export_onnx, import_onnx

F, I = np.float32, np.int64
CODES = {np.dtype(F): TensorProto.FLOAT, np.dtype(I): TensorProto.INT64, np.dtype(np.float64): TensorProto.DOUBLE}


def f(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(F)


def model(op: str, feeds: dict[str, np.ndarray], outputs: int = 1, symbolic: bool = False, domain: str = "", opset: int = 20, **attributes):
    """One node; `symbolic`: the first input has a symbolic first axis, and symbolic ones behind its second where it is an image."""
    def shape(number: int, array: np.ndarray) -> list:
        image = array.ndim > 3 and op != "DFT"
        return [f"d{i}" if symbolic and not number and (i == 0 or image and i > 1) else n for i, n in enumerate(array.shape)]

    infos = [helper.make_tensor_value_info(n, CODES[a.dtype], shape(k, a)) for k, (n, a) in enumerate(feeds.items())]
    node = helper.make_node(op, list(feeds), [f"y{i}" for i in range(outputs)], domain=domain, **attributes)
    results = [helper.make_value_info(f"y{i}", helper.make_tensor_type_proto(TensorProto.FLOAT, None)) for i in range(outputs)]
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(helper.make_graph([node], op, infos, results), opset_imports=imports)


def check(op: str, feeds: dict[str, np.ndarray], outputs: int = 1, tolerance: float = 1e-4, expected=None, export: bool = True, **more) -> None:
    for symbolic in (False, True):
        proto = model(op, feeds, outputs, symbolic, **more)
        wanted = expected or ReferenceEvaluator(proto).run(None, feeds)
        got = dlcompile.compile(proto, cache=False, name="m")(*feeds.values())
        got = got if isinstance(got, tuple) else (got,)
        again = ReferenceEvaluator(export_onnx(import_onnx(proto), opset=22)).run(None, feeds) if export and not symbolic else got
        for a, b, c in zip(got, wanted, again, strict=True):
            assert a.shape == b.shape, f"{a.shape}, not {b.shape}"
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(c, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(mode, padding, align):
    grid = np.random.default_rng(3).uniform(-1.4, 1.4, (2, 5, 3, 2)).astype(F)
    check("GridSample", {"x": f(2, 3, 4, 7), "grid": grid}, mode=mode, padding_mode=padding, align_corners=align)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_grid_sample_of_volumes(mode, align):
    grid = np.random.default_rng(4).uniform(-1.2, 1.2, (1, 2, 3, 4, 3)).astype(F)
    check("GridSample", {"x": f(1, 2, 3, 4, 5), "grid": grid}, mode=mode, align_corners=align)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("half", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align(mode, half, ratio):
    rois = np.array([[0, 0, 9, 7], [2, 3, 5, 5], [-2, -1, 4, 20], [6, 6, 6, 6]], F)
    check("RoiAlign", {"x": np.abs(f(2, 3, 9, 11)), "rois": rois, "batch": np.array([0, 1, 1, 0])}, mode=mode, output_height=3, output_width=2,
          sampling_ratio=ratio, spatial_scale=0.75, coordinate_transformation_mode=half)


def test_max_roi_pool():
    """Against ONNX's definition in plain loops; the reference evaluator does not have the operator."""
    x, rois = f(2, 2, 8, 9), np.array([[0, 1, 2, 6, 7], [1, 0, 0, 3, 3], [1, 4, 4, 4, 4]], F)
    expected = np.zeros((3, 2, 2, 3), F)
    for r, (b, x1, y1, x2, y2) in enumerate(np.floor(rois + np.array([0, .5, .5, .5, .5], F)).astype(int)):
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(2):
            for j in range(3):
                rows = slice(min(max(int(np.floor(i * h / 2)) + y1, 0), 8), min(max(int(np.ceil((i + 1) * h / 2)) + y1, 0), 8))
                columns = slice(min(max(int(np.floor(j * w / 3)) + x1, 0), 9), min(max(int(np.ceil((j + 1) * w / 3)) + x1, 0), 9))
                expected[r, :, i, j] = x[b, :, rows, columns].max((1, 2))
    check("MaxRoiPool", {"x": x, "rois": rois}, expected=[expected], export=False, pooled_shape=[2, 3])


@pytest.mark.parametrize("groups, parts, mask, bias", [(1, 1, False, False), (2, 1, True, True), (1, 2, True, False)])
def test_deform_conv(groups, parts, mask, bias):
    feeds = {"x": f(2, 4, 6, 7), "w": f(6, 4 // groups, 3, 2), "offset": f(2, parts * 12, 4, 6, seed=2) * 2}
    feeds |= {"b": f(6)} if bias or mask else {}
    feeds |= {"mask": f(2, parts * 6, 4, 6, seed=5)} if mask else {}
    check("DeformConv", feeds, tolerance=1e-3, group=groups, offset_group=parts, kernel_shape=[3, 2], pads=[0, 0, 0, 0])


def test_col2im():
    feeds = {"x": f(2, 3 * 6, 12), "image": np.array([5, 6]), "block": np.array([2, 3])}
    check("Col2Im", feeds | {"x": f(2, 18, 16)})
    check("Col2Im", {"x": f(1, 6, 9), "image": np.array([5, 5]), "block": np.array([2, 3])}, strides=[2, 2], pads=[0, 1, 1, 1])


@pytest.mark.parametrize("order", [0, 1])
def test_max_pool_indices(order):
    import onnxruntime

    x = f(2, 3, 8, 7)
    proto = model("MaxPool", {"x": x}, 2, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], dilations=[1, 2], storage_order=order, opset=12)
    proto.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
    proto.ir_version = 8
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    for a, b in zip(dlcompile.compile(proto, cache=False, name="m")(x), expected):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int8])
@pytest.mark.parametrize("kernel", [[2], [2, 3], [3, 1, 2]])
def test_max_pool_indices_of_the_least_numbers(kernel, dtype, order):
    """Padding counts for as little as an element may be, and is nowhere; volumes column by column are so in all three axes."""
    import onnxruntime

    least = -np.inf if dtype == np.float32 else np.iinfo(dtype).min
    x = np.where(np.random.default_rng(1).random((2, 3, 4, 3, 5)[:len(kernel) + 2]) < 0.7, least, 1).astype(dtype)
    node = helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=kernel, pads=[k - 1 for k in kernel] * 2, storage_order=order)
    code = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", code, x.shape)],
                              [helper.make_tensor_value_info("y", code, None), helper.make_tensor_value_info("i", TensorProto.INT64, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    y, i = dlcompile.compile(proto, cache=False, name="m")(x)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    np.testing.assert_array_equal(y, expected[0])
    if dtype == np.float32:  # where ONNX Runtime finds nothing larger than its least number, it has no index
        inside = ~np.isneginf(y)
        np.testing.assert_array_equal(i[inside], expected[1][inside])
    else:
        np.testing.assert_array_equal(x.transpose(0, 1, *range(x.ndim - 1, 1, -1)).ravel()[i] if order else x.ravel()[i], y)
    assert i.min() >= 0 and i.max() < x.size


@pytest.mark.parametrize("n", [1, 2, 3, 8, 64, 67, 96, 128, 360, 521, 1000, 1031, 3 * 523])
@pytest.mark.parametrize("inverse", [0, 1])
def test_dft(n, inverse):
    x = f(2, n, 3, 2)
    z = x[..., 0].astype(np.float64) + 1j * x[..., 1]
    y = (np.fft.ifft if inverse else np.fft.fft)(z, axis=1)
    expected = np.stack([y.real, y.imag], -1).astype(F)
    check("DFT", {"x": x}, expected=[expected], tolerance=2e-5 * max(n, 10), export=False, opset=19, axis=1, inverse=inverse)


@pytest.mark.parametrize("length", [4, 9, 12])
def test_dft_one_sided_and_cut(length):
    x = f(2, 9, 1)
    y = np.fft.rfft(x[..., 0].astype(np.float64), length, axis=1)
    expected = np.stack([y.real, y.imag], -1).astype(F)
    check("DFT", {"x": x, "n": np.array(length)}, expected=[expected], export=False, opset=19, axis=1, onesided=1)


def test_stft():
    x, window = f(2, 64, 1), np.hanning(16).astype(F)
    check("STFT", {"signal": x, "step": np.array(8), "window": window, "n": np.array(16)}, export=False, onesided=1)


def test_stft_of_a_matrix_is_of_real_numbers():
    x, window = f(2, 64), np.hanning(16).astype(F)
    frames = np.stack([x[:, start:start + 16] * window for start in range(0, 49, 8)], 1)
    y = np.fft.rfft(frames.astype(np.float64))
    expected = np.stack([y.real, y.imag], -1).astype(F)
    check("STFT", {"signal": x, "step": np.array(8), "window": window}, expected=[expected], export=False, onesided=1)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_det(n):
    x = f(3, n, n)
    x[1, 0] = 0
    x[2, :, 0] = x[2, :, -1] if n > 1 else 0
    check("Det", {"x": x}, expected=[np.linalg.det(x.astype(np.float64)).astype(F)], tolerance=1e-3, export=False)


@pytest.mark.parametrize("op, states", [("Adam", 2), ("Adagrad", 1), ("Momentum", 1)])
@pytest.mark.parametrize("turn", [0, 3])
def test_steps_of_training(op, states, turn):
    names = [f"{kind}{i}" for kind in ("x", "g", *"vh"[:states]) for i in range(2)]
    feeds = {"rate": np.array(0.1, F), "turn": np.array(turn)} | {n: np.abs(f(3, 2, seed=k)) for k, n in enumerate(names)}
    attributes = {"Adam": {"alpha": 0.9, "beta": 0.99, "epsilon": 1e-3, "norm_coefficient": 0.01, "norm_coefficient_post": 0.001},
                  "Adagrad": {"decay_factor": 0.1, "epsilon": 1e-3, "norm_coefficient": 0.01},
                  "Momentum": {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.01, "mode": "nesterov"}}[op]
    check(op, feeds, 2 * (1 + states), domain="ai.onnx.preview.training", export=False, **attributes)


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("spatial", [(3, 5), (2, 4, 3)])
def test_affine_grids(spatial, batch, align_corners):
    """Of one image too, for which ONNX's own body fails; sizes known, and from data."""
    d = len(spatial)
    theta = np.random.default_rng(batch).standard_normal((batch, d, d + 1)).astype(np.float32)
    sizes = np.array([batch, 3, *spatial])
    graph = helper.make_graph([helper.make_node("AffineGrid", ["theta", "size"], ["y"], align_corners=align_corners)], "g",
                              [helper.make_tensor_value_info("theta", TensorProto.FLOAT, ["n", d, d + 1]),
                               helper.make_tensor_value_info("size", TensorProto.INT64, [d + 2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (expected,) = ReferenceEvaluator(proto).run(None, {"theta": theta, "size": sizes})
    np.testing.assert_allclose(dlcompile.compile(proto, cache=False, name="m")(theta, sizes), expected, rtol=1e-5, atol=1e-6)
    fixed = dlcompile.compile(import_onnx(proto, values={"size": sizes}), cache=False, name="m")
    np.testing.assert_allclose(fixed(theta), expected, rtol=1e-5, atol=1e-6)


def test_regions_beside_other_sizes_from_data():
    """The number of samples of a region is a dimension from data that only the operator's decomposition defines; the model has some of its own."""
    nodes = [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Unique", ["x"], ["values"]),
             helper.make_node("RoiAlign", ["image", "rois", "which"], ["y"], output_height=2, output_width=3, sampling_ratio=0)]
    feeds = {"x": np.array([[0, 2, 0], [1, 0, 2]], F), "image": f(2, 1, 8, 7), "rois": np.array([[0.5, 1, 6.5, 7], [1, 0, 3, 5]], F),
             "which": np.array([1, 0])}
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, CODES[a.dtype], a.shape) for n, a in feeds.items()],
                              [helper.make_tensor_value_info("places", TensorProto.INT64, None), helper.make_tensor_value_info("values", TensorProto.FLOAT, None),
                               helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    results = dlcompile.compile(proto, cache=False, name="m").run(feeds)
    for name, expected in zip(results, ReferenceEvaluator(proto).run(None, feeds), strict=True):
        np.testing.assert_allclose(results[name], expected, rtol=1e-5, atol=1e-6)
    assert dlcompile.lower(proto)[2].files == dlcompile.lower(proto)[2].files  # the names are the same each time
