"""Reading images between their pixels, and in regions: composites of gathers and arithmetic. Images are [n, c, *spatial]."""
from __future__ import annotations

import itertools

import numpy as np

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import DimLike, Tensor, floordiv, is_float, is_string, make_constant, product
from dlcompile.operators.composite import composite, scalar


def _extent(dim: DimLike, like: Tensor) -> Tensor:
    """A dimension as a scalar of the type of `like`."""
    return ops.cast(ops.reshape(ops.shape_vector((dim,)), ()), like.dtype)


def read_at(x: Tensor, positions: list[Tensor], inside: Tensor | None = None) -> Tensor:
    """x [n, c, *spatial] at integer positions, one tensor [n, *points] for each spatial axis, all within it: [n, c, *points]; 0 where not
    `inside` [n, *points]."""
    spatial, points = x.shape[2:], positions[0].shape[1:]
    flat = positions[0]
    for extent, position in zip(spatial[1:], positions[1:]):
        flat = ops.add(ops.mul(flat, _extent(extent, flat)), position)
    count = product(points)
    index = ops.broadcast_to(ops.reshape(flat, (x.shape[0], 1, count)), (x.shape[0], x.shape[1], count))
    values = ops.take_along_axis(ops.reshape(x, (x.shape[0], x.shape[1], product(spatial))), index, 2)
    values = ops.reshape(values, (x.shape[0], x.shape[1], *points))
    if inside is None:
        return values
    return ops.select(ops.expand_dims(inside, 1), values, make_constant(np.asarray("" if is_string(x.dtype) else 0, x.dtype)))


def _clamped(position: Tensor, extent: DimLike) -> Tensor:
    last = ops.sub(_extent(extent, position), ops.as_tensor(np.ones((), position.dtype)))
    return ops.maximum(ops.minimum(position, last), ops.as_tensor(np.zeros((), position.dtype)))


def _reflected(position: Tensor, extent: DimLike, align_corners: bool) -> Tensor:
    """A coordinate folded back at the borders, which are the centres of the outermost pixels, or their outer edges."""
    size = _extent(extent, position)
    one, half = scalar(position, 1), scalar(position, 0.5)
    low = scalar(position, 0) if align_corners else ops.neg(half)
    span = ops.sub(size, one) if align_corners else size
    distance = ops.abs(ops.sub(position, low))
    safe = ops.maximum(span, scalar(position, 1e-30))
    turns = ops.floor(ops.div(distance, safe))
    rest = ops.sub(distance, ops.mul(turns, safe))
    odd = ops.ne(ops.sub(turns, ops.mul(ops.floor(ops.mul(turns, half)), scalar(position, 2))), scalar(position, 0))
    folded = ops.add(low, ops.select(odd, ops.sub(safe, rest), rest))
    return ops.select(ops.gt(span, scalar(position, 0)), folded, ops.mul(position, scalar(position, 0)))


@composite("grid_sample")
def grid_sample(attributes, x: Tensor, grid: Tensor) -> Tensor:
    """x [n, c, *spatial] at the points of grid [n, *points, d], whose last axis is (x, y[, z]) in [-1, 1], the innermost axis first. The
    borders -1 and 1 are the centres of the outermost pixels (`align_corners`), or their outer edges."""
    mode, padding, align = attributes["mode"], attributes["padding_mode"], bool(attributes["align_corners"])
    spatial = x.shape[2:]
    wide = ops.cast(grid, _real(x.dtype, grid.dtype))
    one, half = scalar(wide, 1), scalar(wide, 0.5)
    places = []
    for axis, extent in enumerate(spatial):
        d = len(spatial) - 1 - axis
        g = ops.squeeze(ops.slice(wide, (*(0,) * (grid.rank - 1), d), (*grid.shape[:-1], d + 1)), grid.rank - 1)
        size = _extent(extent, wide)
        at = ops.mul(ops.mul(ops.add(g, one), half), ops.sub(size, one)) if align else ops.sub(ops.mul(ops.mul(ops.add(g, one), size), half), half)
        at = ops.round(at) if mode == "nearest" else at
        outside = _outside(at, extent, align)
        if padding == "border":
            at = ops.select(outside, _clamped(at, extent), at)
        elif padding == "reflection":
            at = ops.select(outside, _reflected(at, extent, align), at)
        places.append(at)
    taps = {"nearest": _nearest, "linear": _linear, "bilinear": _linear, "cubic": _cubic, "bicubic": _cubic}[mode]
    total = None
    for chosen in itertools.product(*(taps(p) for p in places)):
        positions, inside, weight = [], None, None
        for (position, w), extent in zip(chosen, spatial):
            if padding == "zeros":
                fits = ops.logical_and(ops.ge(position, scalar(position, 0)), ops.lt(position, _extent(extent, position)))
                inside = fits if inside is None else ops.logical_and(inside, fits)
            elif padding == "reflection":
                position = ops.round(_reflected(position, extent, align))
            positions.append(ops.cast(_clamped(position, extent), np.int64))
            weight = w if weight is None or w is None else ops.mul(weight, w)
        value = read_at(x, positions, inside)
        if weight is not None:
            if is_string(x.dtype):
                raise DTypeError(f"grid_sample of {x.type} has a mean of strings for mode {mode!r}; expected nearest")
            weighed = x.dtype if x.dtype.kind == "c" else weight.dtype
            value = ops.mul(ops.cast(value, weighed), ops.cast(ops.expand_dims(weight, 1), weighed))
        total = value if total is None else ops.add(total, value)
    return total if total.dtype == x.dtype else ops.cast(total, x.dtype)


def _real(dtype: np.dtype, grid: np.dtype) -> np.dtype:
    """The type in which coordinates are computed that elements are read at: theirs, if that is a real one."""
    if dtype.kind == "c":
        return np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    return dtype if is_float(dtype) else grid


def _outside(at: Tensor, extent: DimLike, align_corners: bool) -> Tensor:
    """Whether a coordinate is beyond the borders."""
    edge = scalar(at, 0 if align_corners else -0.5)
    high = ops.sub(ops.sub(_extent(extent, at), scalar(at, 1)), edge)
    return ops.logical_or(ops.lt(at, edge), ops.gt(at, high))


def _nearest(at: Tensor):
    return [(ops.round(at), None)]


def _linear(at: Tensor):
    """The pixels beside a coordinate, and their weights."""
    low = ops.floor(at)
    part = ops.sub(at, low)
    return [(low, ops.sub(scalar(at, 1), part)), (ops.add(low, scalar(at, 1)), part)]


def _cubic(at: Tensor, a: float = -0.75):
    """Keys' cubic convolution over the four nearest pixels."""
    low = ops.floor(at)
    t = ops.sub(at, low)

    def polynomial(s: Tensor, *coefficients: float) -> Tensor:
        result = scalar(at, coefficients[0])
        for c in coefficients[1:]:
            result = ops.add(ops.mul(result, s), scalar(at, c))
        return result

    def near(s: Tensor) -> Tensor:
        return polynomial(s, a + 2, -(a + 3), 0, 1)

    def far(s: Tensor) -> Tensor:
        return polynomial(s, a, -5 * a, 8 * a, -4 * a)

    one = scalar(at, 1)
    weights = [far(ops.add(t, one)), near(t), near(ops.sub(one, t)), far(ops.sub(scalar(at, 2), t))]
    return [(ops.add(low, scalar(at, k - 1)), w) for k, w in enumerate(weights)]


@composite("roi_align")
def roi_align(attributes, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Regions of x [n, c, h, w] as [regions, c, output_height, output_width]: each bin the mean (or maximum of the weighted corners) of
    samples between pixels (He et al., "Mask R-CNN", 2017). rois [regions, 4] are (x1, y1, x2, y2), batch [regions] the images they are in."""
    height, width, ratio = attributes["output_height"], attributes["output_width"], attributes["sampling_ratio"]
    scale, half = attributes["spatial_scale"], attributes["coordinate_transformation_mode"] == "half_pixel"
    count, f = rois.shape[0], rois
    corners = [ops.squeeze(ops.slice(f, (0, k), (count, k + 1)), 1) for k in range(4)]
    x1, y1, x2, y2 = (ops.sub(ops.mul(c, scalar(f, scale)), scalar(f, 0.5 if half else 0)) for c in corners)
    spans = [ops.sub(y2, y1), ops.sub(x2, x1)]
    if not half:
        spans = [ops.maximum(s, scalar(f, 1)) for s in spans]
    most = []  # samples a bin along each axis: given, or one for each pixel that the largest region's bin covers
    steps = []
    for span, bins in zip(spans, (height, width)):
        if ratio > 0:
            most.append(ratio)
            steps.append(ops.broadcast_to(scalar(f, ratio), (count,)))
        else:
            needed = ops.ceil(ops.div(span, scalar(f, bins)))
            steps.append(needed)
            most.append(ops.dim_of(ops.cast(ops.maximum(ops.reduce_max(ops.concatenate([needed, scalar_vector(f, 1)])), scalar(f, 1)), np.int64)))
    at, valid = [], []
    for start, span, bins, step, limit in zip((y1, x1), spans, (height, width), steps, most):
        size = ops.div(span, scalar(f, bins))
        shape = (count, bins, limit)
        bin_at, sample = (ops.cast(ops.iota(np.int64, shape, axis), f.dtype) for axis in (1, 2))
        start, size, step = (ops.reshape(t, (count, 1, 1)) for t in (start, size, step))
        place = ops.add(ops.add(start, ops.mul(bin_at, size)), ops.div(ops.mul(ops.add(sample, scalar(f, 0.5)), size), ops.maximum(step, scalar(f, 1))))
        at.append(ops.reshape(place, (count, bins * limit)))
        valid.append(ops.reshape(ops.broadcast_to(ops.lt(sample, step), shape), (count, bins * limit)))
    rows, columns = height * most[0], width * most[1]
    y = ops.broadcast_to(ops.expand_dims(at[0], 2), (count, rows, columns))
    z = ops.broadcast_to(ops.expand_dims(at[1], 1), (count, rows, columns))
    used = ops.logical_and(ops.expand_dims(valid[0], 2), ops.expand_dims(valid[1], 1))
    image = ops.gather(x, ops.cast(batch, np.int64), 0)
    inside = ops.as_tensor(np.True_)
    taps = []
    for place, extent in ((y, x.shape[2]), (z, x.shape[3])):
        inside = ops.logical_and(inside, ops.logical_and(ops.ge(place, scalar(f, -1)), ops.le(place, _extent(extent, f))))
        taps.append(_linear(_clamped(place, extent)))
    inside = ops.logical_and(ops.broadcast_to(inside, (count, rows, columns)), used)
    values = []
    for (r, wr), (c, wc) in itertools.product(*taps):
        position = [ops.cast(_clamped(r, x.shape[2]), np.int64), ops.cast(_clamped(c, x.shape[3]), np.int64)]
        values.append(ops.mul(read_at(image, position), ops.expand_dims(ops.mul(wr, wc), 1)))
    shape = (count, x.shape[1], height, most[0], width, most[1])
    mask = ops.expand_dims(inside, 1)
    if attributes["mode"] == "max":
        largest = values[0]
        for value in values[1:]:
            largest = ops.maximum(largest, value)
        # a sample outside of the image counts as 0, one that its bin does not have does not count
        largest = ops.select(mask, largest, ops.select(ops.expand_dims(used, 1), scalar(x, 0), scalar(x, -np.inf)))
        best = ops.reduce_max(ops.reshape(largest, shape), (3, 5))
        return ops.select(ops.eq(best, scalar(x, -np.inf)), scalar(x, 0), best)
    total = values[0]
    for value in values[1:]:
        total = ops.add(total, value)
    summed = ops.reduce_sum(ops.reshape(ops.select(mask, total, scalar(x, 0)), shape), (3, 5))
    samples = ops.maximum(ops.mul(*steps), scalar(f, 1))
    return ops.div(summed, ops.reshape(samples, (count, 1, 1, 1)))


def scalar_vector(like: Tensor, value: float) -> Tensor:
    """A vector of one element."""
    return ops.as_tensor(np.asarray([value], like.dtype))


@composite("deform_conv")
def deform_conv(attributes, x: Tensor, w: Tensor, offset: Tensor, *rest: Tensor) -> Tensor:
    """Convolution of x [n, c, h, w] that reads each tap at an offset of its own, bilinearly, 0 outside (Dai et al., "Deformable
    Convolutional Networks", 2017; with a mask, Zhu et al., 2019). offset [n, offset_group*kh*kw*2, oh, ow] holds (y, x) pairs; then, as
    `has_bias` and `has_mask` say, bias [o] and mask [n, offset_group*kh*kw, oh, ow]."""
    rest = list(rest)
    bias = rest.pop(0) if attributes["has_bias"] else None
    mask = rest.pop(0) if attributes["has_mask"] else None
    n, c, _, _ = x.shape
    o, _, kh, kw = w.shape
    oh, ow = offset.shape[2:]
    groups, parts = attributes["group"], attributes["offset_group"]
    taps = kh * kw
    moved = ops.reshape(offset, (n, parts, taps, 2, oh, ow))
    places = []
    for axis, (stride, dilation, low) in enumerate(zip(attributes["strides"], attributes["dilations"], attributes["pads"])):
        shape = (1, 1, taps, oh, ow)
        tap = ops.iota(np.int64, shape, 2)
        tap = ops.div(tap, np.int64(kw)) if axis == 0 else ops.floor_mod(tap, np.int64(kw))
        base = ops.add(ops.mul(ops.iota(np.int64, shape, 3 + axis), np.int64(stride)), ops.sub(ops.mul(tap, np.int64(dilation)), np.int64(low)))
        delta = ops.squeeze(ops.slice(moved, (0, 0, 0, axis, 0, 0), (n, parts, taps, axis + 1, oh, ow)), 3)
        places.append(ops.reshape(ops.add(ops.cast(base, x.dtype), delta), (n * parts, taps, oh, ow)))
    image = ops.reshape(x, (n * parts, floordiv(c, parts), *x.shape[2:]))
    total = None
    for (r, wr), (s, ws) in itertools.product(_linear(places[0]), _linear(places[1])):
        inside = None
        for place, extent in ((r, x.shape[2]), (s, x.shape[3])):
            fits = ops.logical_and(ops.ge(place, scalar(x, 0)), ops.lt(place, _extent(extent, x)))
            inside = fits if inside is None else ops.logical_and(inside, fits)
        position = [ops.cast(_clamped(r, x.shape[2]), np.int64), ops.cast(_clamped(s, x.shape[3]), np.int64)]
        value = ops.mul(read_at(image, position, inside), ops.expand_dims(ops.mul(wr, ws), 1))
        total = value if total is None else ops.add(total, value)
    if mask is not None:
        total = ops.mul(total, ops.reshape(mask, (n * parts, 1, taps, oh, ow)))
    columns = ops.reshape(total, (n, groups, floordiv(c, groups) * taps, oh * ow))
    kernels = ops.reshape(w, (groups, floordiv(o, groups), floordiv(c, groups) * taps))
    y = ops.reshape(ops.matmul(kernels, columns), (n, o, oh, ow))
    return y if bias is None else ops.add(y, ops.reshape(bias, (o, 1, 1)))


@composite("col2im")
def col2im(attributes, x: Tensor) -> Tensor:
    """Columns [n, c*kernel, blocks] added up into images [n, c, *image_shape] where the windows they come from lie."""
    image, kernel = attributes["image_shape"], attributes["block_shape"]
    strides, dilations, pads = attributes["strides"], attributes["dilations"], attributes["pads"]
    d = len(image)
    padded = [size + pads[i] + pads[d + i] for i, size in enumerate(image)]
    counts = [floordiv(p - (k - 1) * e - 1, s) + 1 for p, k, s, e in zip(padded, kernel, strides, dilations)]
    n, taps = x.shape[0], product(kernel)
    channels = floordiv(x.shape[1], taps)
    flat = ops.as_tensor(np.int64(0))
    shape = (*kernel, *counts)
    for i in range(d):
        tap, block = ops.iota(np.int64, shape, i), ops.iota(np.int64, shape, d + i)
        place = ops.add(ops.mul(block, np.int64(strides[i])), ops.mul(tap, np.int64(dilations[i])))
        flat = ops.add(ops.mul(flat, _extent(padded[i], place)), place)
    points = taps * product(counts)
    index = ops.broadcast_to(ops.reshape(flat, (1, points)), (n * channels, points))
    zeros = ops.broadcast_to(scalar(x, 0), (n * channels, product(padded)))
    total = ops.scatter_elements(zeros, index, ops.reshape(x, (n * channels, points)), 1, "add")
    whole = ops.reshape(total, (n, channels, *padded))
    return ops.slice(whole, (0, 0, *pads[:d]), (n, channels, *(low + size for low, size in zip(pads, image))))


@composite("max_unpool")
def max_unpool(attributes, x: Tensor, indices: Tensor) -> Tensor:
    """0 everywhere but at the flat `indices` of [n, c, *spatial], where the elements of x stand."""
    shape = attributes["shape"]
    zeros = ops.broadcast_to(scalar(x, 0), (product(shape),))
    made = ops.scatter_elements(zeros, ops.reshape(indices, (indices.type.size,)), ops.reshape(x, (x.type.size,)), 0)
    return ops.reshape(made, shape)


@composite("max_pool_indices")
def max_pool_indices(attributes, x: Tensor) -> Tensor:
    """The flat index, in [n, c, *spatial] (`storage_order` 1: the first spatial axis is the fastest), of the largest element of each window;
    the first of equals. NaN is larger than anything."""
    window, strides, dilation, padding = (attributes[k] for k in ("window", "strides", "dilation", "padding"))
    spatial = x.shape[2:]
    d = len(spatial)
    counts = [floordiv(low + n + high - (k - 1) * e - 1, s) + 1 for n, k, s, e, (low, high) in zip(spatial, window, strides, dilation, padding)]
    shape = (*counts, product(window))
    tap = ops.iota(np.int64, shape, d)
    flat, inside = ops.as_tensor(np.int64(0)), ops.as_tensor(np.True_)
    stored = ops.as_tensor(np.int64(0))
    places = []
    for i in reversed(range(d)):
        part, tap = ops.floor_mod(tap, np.int64(window[i])), ops.div(tap, np.int64(window[i]))
        place = ops.add(ops.mul(ops.iota(np.int64, shape, i), np.int64(strides[i])), ops.mul(part, np.int64(dilation[i])))
        place = ops.sub(place, ops.reshape(ops.shape_vector((padding[i][0],)), ()))
        places.insert(0, place)
        fits = ops.logical_and(ops.ge(place, np.int64(0)), ops.lt(place, _extent(spatial[i], place)))
        inside = ops.logical_and(inside, fits)
    for i in range(d):
        flat = ops.add(ops.mul(flat, _extent(spatial[i], flat)), places[i])
    for i in reversed(range(d)) if attributes["storage_order"] else range(d):
        stored = ops.add(ops.mul(stored, _extent(spatial[i], stored)), places[i])
    size = product(spatial)
    images = ops.reshape(x, (x.shape[0] * x.shape[1], size))
    safe = ops.select(inside, flat, np.int64(0))
    lowest = ops.as_tensor(np.asarray(-np.inf if is_float(x.dtype) else np.iinfo(x.dtype).min, x.dtype))
    values = ops.select(inside, ops.gather(images, safe, 1), lowest)
    largest = ops.eq(values, ops.reduce_max(values, d + 1, keepdims=True))
    if is_float(x.dtype):
        largest = ops.logical_or(largest, ops.is_nan(values))
    best = ops.argmax(ops.cast(ops.logical_and(inside, largest), np.int32), d + 1)  # an element may be as small as what padding counts for
    points = product(counts)
    found = ops.take_along_axis(ops.broadcast_to(ops.reshape(stored, (1, points, product(window))), (images.shape[0], points, product(window))),
                                ops.reshape(best, (images.shape[0], points, 1)), 2)
    begin = ops.mul(ops.iota(np.int64, (images.shape[0], 1), 0), _extent(size, flat))
    return ops.reshape(ops.add(ops.reshape(found, (images.shape[0], points)), begin), (x.shape[0], x.shape[1], *counts))


@composite("max_roi_pool")
def max_roi_pool(attributes, x: Tensor, rois: Tensor) -> Tensor:
    """The largest element of each of ph×pw bins of regions (batch, x1, y1, x2, y2), corners included, rounded to pixels (Girshick, "Fast
    R-CNN", 2015); 0 for an empty bin."""
    height, width = attributes["pooled_shape"]
    scale, count, f = attributes["spatial_scale"], rois.shape[0], rois
    columns = [ops.squeeze(ops.slice(f, (0, k), (count, k + 1)), 1) for k in range(5)]
    half = scalar(f, 0.5)
    corner = [ops.floor(ops.add(ops.mul(c, scalar(f, scale)), half)) for c in columns[1:]]
    masks = []
    for low, high, bins, extent in ((corner[1], corner[3], height, x.shape[2]), (corner[0], corner[2], width, x.shape[3])):
        span = ops.maximum(ops.add(ops.sub(high, low), scalar(f, 1)), scalar(f, 1))
        size = ops.expand_dims(ops.div(span, scalar(f, bins)), 1)
        number = ops.cast(ops.iota(np.int64, (1, bins), 1), f.dtype)
        first, last = (ops.maximum(ops.minimum(ops.add(e, ops.expand_dims(low, 1)), _extent(extent, f)), scalar(f, 0))
                       for e in (ops.floor(ops.mul(number, size)), ops.ceil(ops.mul(ops.add(number, scalar(f, 1)), size))))
        pixel = ops.cast(ops.iota(np.int64, (1, 1, extent), 2), f.dtype)
        masks.append(ops.logical_and(ops.ge(pixel, ops.expand_dims(first, 2)), ops.lt(pixel, ops.expand_dims(last, 2))))
    image = ops.gather(x, ops.cast(columns[0], np.int64), 0)
    c, h, w = x.shape[1:]
    lowest = scalar(x, -np.inf)
    across = ops.select(ops.reshape(masks[1], (count, 1, 1, width, w)), ops.reshape(image, (count, c, h, 1, w)), lowest)
    by_row = ops.reduce_max(across, 4)  # [regions, c, h, pw]
    down = ops.select(ops.reshape(masks[0], (count, 1, height, 1, h)), ops.reshape(ops.transpose(by_row, (0, 1, 3, 2)), (count, c, 1, width, h)), lowest)
    best = ops.reduce_max(down, 4)
    return ops.select(ops.eq(best, lowest), scalar(x, 0), best)


def check_points(x: Tensor, grid: Tensor) -> None:
    """ShapeError for a grid that has not a coordinate for each spatial axis."""
    if x.rank < 3 or grid.rank != x.rank or grid.shape[-1] != x.rank - 2:
        raise ShapeError(f"a grid for {x.type} has {x.rank} axes, the last of {x.rank - 2} coordinates; it is {grid.type}")
