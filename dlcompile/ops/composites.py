"""The composites as functions: each applies the row of its name (see `dlcompile.operators` for the definitions)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.graph import Dim, DimLike, Tensor, apply
from dlcompile.ops.core import (
    TensorLike,
    as_tensor,
    as_tensors,
    axis_index,
    axis_indices,
    cast,
    concatenate,
    dim_of,
    reduce_min,
    reshape,
    shape_vector,
)
from dlcompile.ops.elementwise import add, ceil, div, minimum, mul, sqrt


def _activation(name: str, **defaults):
    def function(x: TensorLike, **attributes) -> Tensor:
        unknown = set(attributes) - set(defaults)
        if unknown:
            raise TypeError(f"{name}() has no parameter {', '.join(sorted(unknown))}")
        return apply(name, as_tensor(x), **{**defaults, **attributes})

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The activation {name}" + (f" with parameters {', '.join(f'{k}={v}' for k, v in defaults.items())}." if defaults else ".")
    return function


relu = _activation("relu")
leaky_relu = _activation("leaky_relu", alpha=0.01)
elu = _activation("elu", alpha=1.0)
celu = _activation("celu", alpha=1.0)
selu = _activation("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875)
gelu = _activation("gelu", approximate="none")
silu = _activation("silu", alpha=1.0)
softplus = _activation("softplus")
mish = _activation("mish")
softsign = _activation("softsign")
hard_sigmoid = _activation("hard_sigmoid", alpha=0.2, beta=0.5)
hard_swish = _activation("hard_swish")
thresholded_relu = _activation("thresholded_relu", alpha=1.0)
shrink = _activation("shrink", bias=0.0, lambd=0.5)


def prelu(x: TensorLike, slope: TensorLike) -> Tensor:
    """x where x >= 0, else slope*x; `slope` broadcasts to x."""
    return apply("prelu", *as_tensors(x, slope))


def clip(x: TensorLike, low: TensorLike, high: TensorLike) -> Tensor:
    """min(max(x, low), high)."""
    return apply("clip", *as_tensors(x, low, high))


def _along_axis(name: str):
    def function(x: TensorLike, axis: int = -1) -> Tensor:
        x = as_tensor(x)
        return apply(name, x, axis=axis_index(axis, x.rank))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} along `axis`."
    return function


softmax = _along_axis("softmax")
log_softmax = _along_axis("log_softmax")
hardmax = _along_axis("hardmax")


def layer_normalization(x: TensorLike, scale: TensorLike, bias: TensorLike | None = None, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """(x - mean) / √(variance + epsilon) * scale + bias, over the axes from `axis` on."""
    x = as_tensor(x)
    return apply("layer_normalization", x, as_tensor(scale), *(() if bias is None else (as_tensor(bias),)),
                 axis=axis_index(axis, x.rank), epsilon=epsilon)


def rms_normalization(x: TensorLike, scale: TensorLike, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """x / √(mean(x²) + epsilon) * scale, over the axes from `axis` on."""
    x = as_tensor(x)
    return apply("rms_normalization", x, as_tensor(scale), axis=axis_index(axis, x.rank), epsilon=epsilon)


def batch_normalization(x: TensorLike, scale: TensorLike, bias: TensorLike, mean: TensorLike, variance: TensorLike, *, axis: int = 1,
                        epsilon: float = 1e-5) -> Tensor:
    """Inference: (x - mean) * scale / √(variance + epsilon) + bias along `axis`."""
    return apply("batch_normalization", *(as_tensor(t) for t in (x, scale, bias, mean, variance)), axis=axis, epsilon=epsilon)


def instance_normalization(x: TensorLike, scale: TensorLike, bias: TensorLike, *, epsilon: float = 1e-5) -> Tensor:
    """Each image and channel of x [N, C, *S] normalised over its spatial axes."""
    return apply("instance_normalization", *(as_tensor(t) for t in (x, scale, bias)), epsilon=epsilon)


def group_normalization(x: TensorLike, scale: TensorLike, bias: TensorLike, *, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """Groups of channels of x [N, C, *S] normalised together; scale and bias for each channel."""
    return apply("group_normalization", *(as_tensor(t) for t in (x, scale, bias)), num_groups=num_groups, epsilon=epsilon)


def lrn(x: TensorLike, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """Local response normalisation over `size` channels of x [N, C, *S]."""
    return apply("lrn", as_tensor(x), size=size, alpha=alpha, beta=beta, bias=bias)


def lp_normalization(x: TensorLike, *, axis: int = -1, p: int = 2) -> Tensor:
    """x divided by its p-norm along `axis`."""
    x = as_tensor(x)
    return apply("lp_normalization", x, axis=axis_index(axis, x.rank), p=p)


def mean_variance_normalization(x: TensorLike, axes: Sequence[int] = (0, 2, 3)) -> Tensor:
    """(x - mean) / deviation over `axes`."""
    return apply("mean_variance_normalization", as_tensor(x), axes=tuple(axes))


def attention(q: TensorLike, k: TensorLike, v: TensorLike, mask: TensorLike | None = None, *, scale: float | None = None,
              causal: bool = False) -> Tensor:
    """softmax(scale * q kᵀ + mask) v for q [..., S, D], k [..., T, D], v [..., T, E]; scale 1/√D by default."""
    q, k, v = as_tensors(q, k, v)
    depth = q.shape[-1]
    if scale is None and isinstance(depth, Dim):
        q, scale = div(q, sqrt(cast(reshape(shape_vector((depth,)), ()), q.dtype))), 1.0
    scale = float(depth) ** -0.5 if scale is None else float(scale)
    return apply("attention", q, k, v, *(() if mask is None else (as_tensor(mask),)), scale=scale, causal=bool(causal))


def depth_to_space(x: TensorLike, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """[N, C*b*b, H, W] → [N, C, H*b, W*b]; mode DCR or CRD says how channels are split."""
    return apply("depth_to_space", as_tensor(x), blocksize=blocksize, mode=mode)


def space_to_depth(x: TensorLike, *, blocksize: int) -> Tensor:
    """[N, C, H*b, W*b] → [N, C*b*b, H, W]."""
    return apply("space_to_depth", as_tensor(x), blocksize=blocksize)


def lstm(x: TensorLike, w: TensorLike, r: TensorLike, *optional: TensorLike, present: Sequence[str] = (), direction: str = "forward",
         activations: Sequence[str] = (), alphas: Sequence[float] = (), betas: Sequence[float] = (), clip: float = 0.0,
         input_forget: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX LSTM: x [T, N, I], w [D, 4H, I], r [D, 4H, H] → y [T, D, N, H], last h [D, N, H], last c [D, N, H]. `optional` are the operands
    that `present` names, in order, of b [D, 8H], sequence_lens [N] int32, initial_h, initial_c [D, N, H], p [D, 3H]."""
    return apply("lstm", *(as_tensor(t) for t in (x, w, r, *optional)), present=tuple(present), direction=direction,
                 activations=tuple(activations), alphas=tuple(alphas), betas=tuple(betas), clip=clip, input_forget=bool(input_forget))


def dynamic_quantize_lstm(x: TensorLike, w: TensorLike, r: TensorLike, *optional: TensorLike, present: Sequence[str] = (),
                          direction: str = "forward", activations: Sequence[str] = (), alphas: Sequence[float] = (),
                          betas: Sequence[float] = (), clip: float = 0.0, input_forget: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """`lstm` with int8 or uint8 weights w and r, and operands w_scale, w_zero_point, r_scale, r_zero_point ([D] or [D, 4H]) after the others: x,
    and h at each step, are rounded to 8 bits by the range of their values, as ONNX's DynamicQuantizeLinear does."""
    return apply("dynamic_quantize_lstm", *(as_tensor(t) for t in (x, w, r, *optional)), present=tuple(present), direction=direction,
                 activations=tuple(activations), alphas=tuple(alphas), betas=tuple(betas), clip=clip, input_forget=bool(input_forget))


def gru(x: TensorLike, w: TensorLike, r: TensorLike, *optional: TensorLike, present: Sequence[str] = (), direction: str = "forward",
        activations: Sequence[str] = (), alphas: Sequence[float] = (), betas: Sequence[float] = (), clip: float = 0.0,
        linear_before_reset: bool = False) -> tuple[Tensor, Tensor]:
    """ONNX GRU: x [T, N, I], w [D, 3H, I], r [D, 3H, H] → y [T, D, N, H], last h [D, N, H]. `optional` as for `lstm`: b [D, 6H],
    sequence_lens, initial_h."""
    return apply("gru", *(as_tensor(t) for t in (x, w, r, *optional)), present=tuple(present), direction=direction,
                 activations=tuple(activations), alphas=tuple(alphas), betas=tuple(betas), clip=clip,
                 linear_before_reset=bool(linear_before_reset))


def rnn(x: TensorLike, w: TensorLike, r: TensorLike, *optional: TensorLike, present: Sequence[str] = (), direction: str = "forward",
        activations: Sequence[str] = (), alphas: Sequence[float] = (), betas: Sequence[float] = (), clip: float = 0.0) -> tuple[Tensor, Tensor]:
    """ONNX RNN: x [T, N, I], w [D, H, I], r [D, H, H] → y [T, D, N, H], last h [D, N, H]. `optional` as for `lstm`: b [D, 2H],
    sequence_lens, initial_h."""
    return apply("rnn", *(as_tensor(t) for t in (x, w, r, *optional)), present=tuple(present), direction=direction,
                 activations=tuple(activations), alphas=tuple(alphas), betas=tuple(betas), clip=clip)


def conv_transpose(x: TensorLike, w: TensorLike, *, strides, padding, output_padding, dilations, groups: int = 1,
                   layout: str = "channels_first") -> Tensor:
    """Transposed convolution: the derivative of a convolution by its input. channels_first: x [N, C, *S], w [C, O/groups, *K];
    channels_last: x [N, *S, C], w [*K, O/groups, C]. `padding` (before, after) cuts off:
    extent = (S-1)*stride + (K-1)*dilation + 1 + output_padding - before - after."""
    return apply("conv_transpose", *as_tensors(x, w), strides=tuple(strides), padding=tuple(tuple(p) for p in padding),
                 output_padding=tuple(output_padding), dilations=tuple(dilations), groups=groups, layout=layout)


def average_pool(x: TensorLike, *, window, strides, padding, dilation=None, count_include_pad: bool = False) -> Tensor:
    """The mean of each window over the spatial axes of x [N, C, *S]; padding (before, after) for each axis, which counts where
    `count_include_pad`."""
    x = as_tensor(x)
    return apply("average_pool", x, window=tuple(window), strides=tuple(strides), padding=tuple(tuple(p) for p in padding),
                 dilation=tuple(dilation or (1,) * (x.rank - 2)), count_include_pad=bool(count_include_pad))


def quantize_linear(x: TensorLike, scale: TensorLike, zero_point: TensorLike, *, axis: int = 1) -> Tensor:
    """saturate(round(x / scale) + zero_point) in the zero point's type; scale and zero point are scalars or vectors along `axis`."""
    return apply("quantize_linear", as_tensor(x), as_tensor(scale), as_tensor(zero_point), axis=axis)


def dequantize_linear(x: TensorLike, scale: TensorLike, zero_point: TensorLike, *, axis: int = 1) -> Tensor:
    """(x - zero_point) * scale, in the scale's type; scale and zero point are scalars or vectors along `axis`."""
    return apply("dequantize_linear", as_tensor(x), as_tensor(scale), as_tensor(zero_point), axis=axis)


def trilu(x: TensorLike, k: int = 0, *, upper: bool = True) -> Tensor:
    """The upper (or lower) triangle of the last two axes from diagonal `k` on, 0 elsewhere."""
    return apply("trilu", as_tensor(x), k=k, upper=bool(upper))


def logsumexp(x: TensorLike, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """ln Σ e**x over `axes` (default: all), without overflow."""
    x = as_tensor(x)
    return apply("logsumexp", x, axes=axis_indices(axes, x.rank), keepdims=bool(keepdims))


def resize(x: TensorLike, sizes: Sequence[DimLike], *, scales: Sequence[float | Tensor | None] | None = None, mode: str = "nearest",
           coordinate_mode: str = "half_pixel", nearest_mode: str = "round_prefer_floor", cubic_coefficient: float = -0.75,
           exclude_outside: bool = False, antialias: bool = False,
           roi: Sequence[tuple[float | Tensor, float | Tensor]] | None = None, extrapolation_value: float = 0.0) -> Tensor:
    """`x` resampled to `sizes` (an entry for each axis), as ONNX's Resize.

    scales: what coordinates are divided by, for each axis; None: size / extent. mode: nearest, linear, cubic. coordinate_mode: half_pixel,
    half_pixel_symmetric, pytorch_half_pixel, asymmetric, align_corners, tf_half_pixel_for_nn, tf_crop_and_resize (of the part `roi`, (start,
    end) of each axis in [0, 1]; what lies outside is `extrapolation_value`). nearest_mode: round_prefer_floor, round_prefer_ceil, floor, ceil.
    Scales (none of them None then) and bounds of `roi` may be scalars that are computed when the model runs.
    """
    for what, value, allowed in (("mode", mode, RESIZE_MODES), ("coordinate_mode", coordinate_mode, COORDINATE_MODES),
                                 ("nearest_mode", nearest_mode, NEAREST_MODES)):
        if value not in allowed:
            raise InvalidModelError(f"resize: {what} {value!r} is not one of {', '.join(allowed)}")
    x = as_tensor(x)
    if not len(sizes) == x.rank == len(scales or sizes) == len(roi or sizes):
        raise ShapeError(f"resize of {x.type}: sizes, scales and roi need {x.rank} entries")
    operands: dict[str, Tensor] = {}
    more: dict = {}
    if scales is not None and any(isinstance(s, Tensor) for s in scales):
        operands["scales"] = _float_vector(scales)
        if antialias:  # how many rows the kernel reaches: 2 in each direction, or more where it is stretched
            least = minimum(reduce_min(operands["scales"], (0,)), np.float32(1))
            more["taps"] = (dim_of(add(mul(cast(ceil(div(np.float32(2), least)), np.int64), np.int64(2)), np.int64(2))),) * x.rank
    if roi is not None and any(isinstance(bound, Tensor) for part in roi for bound in part):
        operands["roi"] = _float_vector([*(start for start, _ in roi), *(end for _, end in roi)])
        roi = None
    if operands:
        more["present"] = tuple(operands)
    return apply("resize", x, *operands.values(), sizes=tuple(sizes),
                 scales=None if scales is None else tuple(None if s is None or isinstance(s, Tensor) else float(s) for s in scales),
                 mode=mode, coordinate_mode=coordinate_mode, nearest_mode=nearest_mode, cubic_coefficient=float(cubic_coefficient),
                 exclude_outside=bool(exclude_outside), antialias=bool(antialias),
                 roi=None if roi is None else tuple((float(a), float(b)) for a, b in roi), extrapolation_value=float(extrapolation_value),
                 **more)


def _float_vector(values: Sequence[float | Tensor]) -> Tensor:
    return concatenate([reshape(cast(as_tensor(v), np.float32), (1,)) for v in values])


RESIZE_MODES = ("nearest", "linear", "cubic")
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
COORDINATE_MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners", "tf_half_pixel_for_nn",
                    "tf_crop_and_resize")
