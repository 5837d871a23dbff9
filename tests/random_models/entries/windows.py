"""Pooling."""
from __future__ import annotations

from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.products import spatial
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXTREMUM, SUM, Tolerance

POWERS = Tolerance(8, 8, 1)  # of small numbers vanish


@entry("MaxPool", "AveragePool", "LpPool")
def pool(b: Builder, op: str) -> None:
    dims = b.choice((1, 2, 2, 2, 3))
    x = b.fresh(b.dtype(b.types(op)), (b.choice((1, 2, 0)), b.choice((1, 2, 3)), *spatial(b, dims, 2)), finite=True)
    kernel = [b.choice((1, 2, 3)) for _ in range(dims)]
    given: dict = {"kernel_shape": kernel}
    if b.chance(0.6):
        given["strides"] = [b.choice((1, 2, 3)) for _ in range(dims)]
    modern = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op] <= b.opset
    if b.chance(0.3) and modern:
        given["dilations"] = [b.choice((1, 2)) for _ in range(dims)]
    if b.chance(0.4) and (modern or op == "AveragePool"):
        given["ceil_mode"] = b.integer(0, 1)
    kind = b.integer(0, 2)
    if kind == 1:
        given["auto_pad"] = b.choice(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif kind == 2:
        given["pads"] = [b.integer(0, k - 1) for k in kernel] + [b.integer(0, k - 1) for k in kernel]
    if op == "AveragePool" and b.chance(0.5):
        given["count_include_pad"] = b.integer(0, 1)
    if op == "LpPool" and b.chance(0.7):
        given["p"] = b.integer(1, 3 if x.dtype.itemsize > 2 else 2)  # third powers of 16 bits vanish
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, given.get("dilations", [1] * dims))]
    pads = given.get("pads", [0] * 2 * dims)
    if "SAME" not in given.get("auto_pad", "") and any(e + pads[i] + pads[i + dims] < r for i, (e, r) in enumerate(zip(x.shape[2:], reach))):
        raise Unsuitable("the window does not fit")
    outputs = b.integer(1, 2) if op == "MaxPool" else 1
    if outputs == 2 and b.opset >= 8 and b.chance(0.3):
        given["storage_order"] = 1
    b.add(op, [x], outputs, tolerance=EXTREMUM if op == "MaxPool" else SUM if op == "AveragePool" else POWERS, **given)


@entry("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
def global_pool(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=3, finite=True, accept=lambda value: 0 not in value.shape and (op != "GlobalLpPool" or value.moderate))
    b.add(op, [x], tolerance=EXTREMUM if "Max" in op else SUM if "Average" in op else POWERS, **({"p": b.integer(1, 3)} if op == "GlobalLpPool" else {}))
