"""Sampling of images: at grids, in regions, with offsets; windows put back."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import SUM, Tolerance

SAMPLED = Tolerance(16, 8, 16)


@entry("GridSample", since=20)
def grid_sample(b: Builder, op: str) -> None:
    dims = b.choice((2, 2, 3))
    modes = ("linear", "nearest", "cubic") if dims == 2 else ("linear", "nearest")
    given = {"mode": b.choice(modes), "padding_mode": b.choice(("zeros", "border", "reflection")), "align_corners": b.integer(0, 1)}
    size, out = ([b.choice((1, 2, 3, 5)) for _ in range(dims)] for _ in range(2))
    if given["padding_mode"] == "reflection" and 1 in size:
        raise Unsuitable("nothing to reflect between")
    batch = b.choice((1, 2))
    x = b.fresh(v.FLOAT32, (batch, b.choice((1, 2, 3)), *size), finite=True)  # the evaluator has float32 inside
    places = b.numbers.uniform(-1.4, 1.4, (batch, *out, dims))
    b.add(op, [x, b.given(places.astype(np.float32).astype(x.dtype), 0.3, False, [-1])], tolerance=SAMPLED, **given)


@entry("RoiAlign", since=16)
def roi_align(b: Builder, op: str) -> None:
    batch, channels, height, width, rois = b.choice((1, 2)), b.choice((1, 3)), b.choice((3, 5, 8)), b.choice((4, 7)), b.choice((1, 2, 4))
    x = b.fresh(v.FLOAT32, (batch, channels, height, width), finite=True)
    first = b.numbers.uniform(-1, 4, (rois, 2))
    boxes = np.concatenate([first, first + b.numbers.uniform(0.5, 5, (rois, 2))], 1).astype(np.float32)
    given = {"output_height": b.choice((1, 2, 3)), "output_width": b.choice((1, 2, 4)), "sampling_ratio": b.choice((0, 1, 2, 3)),
             "spatial_scale": b.choice((1.0, 0.5)), "mode": b.choice(("avg", "max")),
             "coordinate_transformation_mode": b.choice(("half_pixel", "output_half_pixel"))}
    which = b.numbers.integers(0, batch, rois)
    b.add(op, [x, b.given(boxes, 0.3, False, [1]), b.given(which, 0.3, False)], tolerance=SAMPLED, **given)


@entry("DeformConv", since=19)
def deform_conv(b: Builder, op: str) -> None:
    batch, group, offset_group = b.choice((1, 2)), b.choice((1, 2)), b.choice((1, 2))
    channels, outputs = 2 * b.choice((1, 2)), group * b.choice((1, 2))
    kernel, size = [b.choice((1, 2, 3)) for _ in range(2)], [b.choice((4, 6)) for _ in range(2)]
    given = {"group": group, "offset_group": offset_group, "pads": [b.integer(0, 1) for _ in range(4)], "strides": [b.choice((1, 2)) for _ in range(2)],
             "dilations": [b.choice((1, 2)) for _ in range(2)]}
    if channels % group or channels % offset_group:
        raise Unsuitable("groups")
    out = [(e + given["pads"][i] + given["pads"][i + 2] - ((k - 1) * given["dilations"][i] + 1)) // given["strides"][i] + 1
           for i, (e, k) in enumerate(zip(size, kernel))]
    if min(out) < 1:
        raise Unsuitable("the window does not fit")
    taps = kernel[0] * kernel[1]
    x = b.fresh(v.FLOAT32, (batch, channels, *size), finite=True)
    w = b.fresh(v.FLOAT32, (outputs, channels // group, *kernel), finite=True, constant=0.8)
    offsets = b.given(b.numbers.uniform(-1.5, 1.5, (batch, offset_group * taps * 2, *out)).astype(np.float32), 0.2, False, [1])
    bias = b.fresh(v.FLOAT32, (outputs,), finite=True) if b.chance(0.5) else None
    mask = b.given(b.numbers.uniform(0, 1, (batch, offset_group * taps, *out)).astype(np.float32), 0.2, False, [1]) if b.chance(0.5) else None
    b.add(op, [x, w, offsets, bias, mask], tolerance=SAMPLED, **given)


@entry("Col2Im", since=18)
def col2im(b: Builder, op: str) -> None:
    dims = b.choice((1, 2, 2, 3))
    block, image = [b.choice((1, 2, 3)) for _ in range(dims)], [b.choice((3, 4, 6)) for _ in range(dims)]
    given = {}
    strides = dilations = [1] * dims
    pads = [0] * 2 * dims
    if b.chance(0.6):
        strides = given["strides"] = [b.choice((1, 2)) for _ in range(dims)]
    if b.chance(0.4):
        dilations = given["dilations"] = [b.choice((1, 2)) for _ in range(dims)]
    if b.chance(0.5):
        pads = given["pads"] = [b.integer(0, 1) for _ in range(2 * dims)]
    counts = [(e + pads[i] + pads[i + dims] - ((k - 1) * d + 1)) // s + 1 for i, (e, k, d, s) in enumerate(zip(image, block, dilations, strides))]
    if min(counts) < 1:
        raise Unsuitable("the window does not fit")
    shape = (b.choice((1, 2)), b.choice((1, 2)) * int(np.prod(block)), int(np.prod(counts)))
    b.add(op, [b.fresh(b.choice((v.FLOAT32, v.FLOAT64)), shape, finite=True), b.integers(image), b.integers(block)], tolerance=SUM, **given)


@entry("AffineGrid", since=20)
def affine_grid(b: Builder, op: str) -> None:
    dims, batch = b.choice((2, 3)), b.choice((1, 2))
    theta = b.fresh(v.FLOAT32, (batch, dims, dims + 1), finite=True)
    sizes = [batch, b.choice((1, 3)), *(b.choice((2, 3, 5)) for _ in range(dims))]
    b.add(op, [theta, b.integers(sizes)], tolerance=SAMPLED, align_corners=b.integer(0, 1))


@entry("Det")
def det(b: Builder, op: str) -> None:
    n = b.choice((1, 2, 3, 5))
    b.add(op, [b.fresh(b.choice((v.FLOAT32, v.FLOAT64)), (*b.shape(0, 2), n, n), finite=True)], tolerance=Tolerance(64, 32, 64))
