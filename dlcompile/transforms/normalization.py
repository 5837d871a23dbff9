"""Normalisations that exporters write as something else, as what they are."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Node, product
from dlcompile.transforms.rewrite import Answer, Table, made_by


def group_normalization_by_instances(node: Node) -> Answer:
    """reshape(instance_normalization(reshape(x [N, C, *S], [N, G, …]), s, b)) → group_normalization(x, s', b'; G), each channel with the scale
    and bias of its group: what is normalised together is the same, and the axes of x stay apart."""
    inner = made_by(node.inputs[0], "instance_normalization")
    outer = made_by(inner.inputs[0], "reshape") if inner else None
    if not outer:
        return None
    x, (_, scale, bias) = outer.inputs[0], inner.inputs
    groups, channels = outer.output.shape[1], x.shape[1] if x.rank > 2 else None
    if x.shape != node.output.shape or not all(isinstance(d, int) for d in (groups, channels)) or groups == 0 or channels % groups:
        return None
    if x.shape[0] != outer.output.shape[0] or product(outer.output.shape[2:]) != channels // groups * product(x.shape[2:]):
        return None
    if not (scale.is_constant and bias.is_constant):
        return None
    each = [np.repeat(t.value, channels // groups) for t in (scale, bias)]
    return ops.group_normalization(x, *each, num_groups=groups, epsilon=inner.attributes["epsilon"])


NORMALIZATION: Table = (("reshape", group_normalization_by_instances),)
