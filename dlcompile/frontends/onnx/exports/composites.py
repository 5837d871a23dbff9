"""Composites as the ONNX operators they are named after; at opsets that do not have one it is decomposed."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.rows.resizing import scaled_sizes
from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node

# composite: (ONNX operator, the opset that brought it, attributes the two have in common)
SAME = {
    "relu": ("Relu", 14, ()),
    "leaky_relu": ("LeakyRelu", 16, ("alpha",)),
    "prelu": ("PRelu", 16, ()),
    "elu": ("Elu", 6, ("alpha",)),
    "celu": ("Celu", 12, ("alpha",)),
    "selu": ("Selu", 6, ("alpha", "gamma")),
    "gelu": ("Gelu", 20, ("approximate",)),
    "softplus": ("Softplus", 1, ()),
    "softsign": ("Softsign", 1, ()),
    "mish": ("Mish", 18, ()),
    "hard_sigmoid": ("HardSigmoid", 6, ("alpha", "beta")),
    "hard_swish": ("HardSwish", 14, ()),
    "thresholded_relu": ("ThresholdedRelu", 10, ("alpha",)),
    "shrink": ("Shrink", 9, ("bias", "lambd")),
    "clip": ("Clip", 13, ()),
    "softmax": ("Softmax", 13, ("axis",)),
    "log_softmax": ("LogSoftmax", 13, ("axis",)),
    "hardmax": ("Hardmax", 13, ("axis",)),
    "layer_normalization": ("LayerNormalization", 17, ("axis", "epsilon")),
    "rms_normalization": ("RMSNormalization", 23, ("axis", "epsilon")),
    "instance_normalization": ("InstanceNormalization", 6, ("epsilon",)),
    "lrn": ("LRN", 13, ("size", "alpha", "beta", "bias")),
    "group_normalization": ("GroupNormalization", 21, ("num_groups", "epsilon")),
    "lp_normalization": ("LpNormalization", 1, ("axis", "p")),
    "mean_variance_normalization": ("MeanVarianceNormalization", 13, ("axes",)),
    "depth_to_space": ("DepthToSpace", 13, ("blocksize", "mode")),
    "space_to_depth": ("SpaceToDepth", 13, ("blocksize",)),
}


_FLOAT32_ONLY = {"celu"}


def _same(op_type: str, attributes: tuple[str, ...]):
    def row(writer: Writer, node: Node, *names: str) -> str:
        if node.op in _FLOAT32_ONLY and node.inputs[0].dtype != np.float32:
            return writer.decomposed(node)
        given = {key: node.attributes[key] for key in attributes if key in node.attributes}
        return writer.emit(op_type, names, **{k: list(v) if isinstance(v, tuple) else v for k, v in given.items()})
    return row


for _name, (_op_type, _since, _attributes) in SAME.items():
    exporter(_name, since=_since)(_same(_op_type, _attributes))


@exporter("silu", since=24)
def silu(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("Swish", [x], alpha=float(node.attributes.get("alpha", 1.0)))


@exporter("batch_normalization", since=15)
def batch_normalization(writer: Writer, node: Node, x: str, *statistics: str) -> str:
    """ONNX's has its channels on axis 1."""
    rank, axis = node.inputs[0].rank, node.attributes.get("axis", 1)
    order = [0, axis, *(a for a in range(1, rank) if a != axis)] if rank > 1 else [0]
    y = writer.emit("BatchNormalization", [writer.transpose(x, order), *statistics], epsilon=node.attributes["epsilon"])
    return writer.transpose(y, [order.index(a) for a in range(rank)])


@exporter("attention", since=23)
def attention(writer: Writer, node: Node, q: str, k: str, v: str, mask: str | None = None) -> str:
    """ONNX's has one batch axis and one of heads."""
    a, tensors = node.attributes, node.inputs
    lead = tensors[0].shape[:-2]
    batch: object = 1
    for d in lead[:-1]:
        batch = d * batch
    heads = lead[-1] if lead else 1
    if len(lead) != 2:
        q, k, v = (writer.reshape(name, (batch, heads, *t.shape[-2:])) for name, t in zip((q, k, v), tensors))
        if mask is not None and tensors[3].rank > 2:
            full = (*lead, tensors[0].shape[-2], tensors[1].shape[-2])
            mask = writer.reshape(writer.emit("Expand", [mask, writer.shape(full)]), (batch, heads, *full[-2:]))
    elif mask is not None and tensors[3].rank < 2:
        mask = writer.reshape(mask, ((1,) * (2 - tensors[3].rank)) + tensors[3].shape)
    y = writer.emit(
        "Attention",
        [q, k, v, *([mask] if mask else [])],
        scale=float(a["scale"]) if a.get("scale") is not None else None,
        is_causal=int(bool(a.get("causal"))),
    )
    return y if len(lead) == 2 else writer.reshape(y, node.output.shape)


@exporter("trilu", since=14)
def trilu(writer: Writer, node: Node, x: str) -> str:
    return writer.emit(
        "Trilu", [x, writer.constant(np.int64(node.attributes["k"]))], upper=int(node.attributes["upper"])
    )


@exporter("quantize_linear", since=13)
def quantize_linear(writer: Writer, node: Node, x: str, scale: str, zero: str) -> str:
    return writer.emit(
        "QuantizeLinear", [x, scale, zero], axis=node.attributes["axis"] if node.inputs[1].rank else None
    )


@exporter("dequantize_linear", since=13)
def dequantize_linear(writer: Writer, node: Node, x: str, scale: str, zero: str) -> str:
    inputs = [x, scale] if node.inputs[0].dtype == np.int32 else [x, scale, zero]  # int32 has no zero point
    return writer.emit("DequantizeLinear", inputs, axis=node.attributes["axis"] if node.inputs[1].rank else None)


@exporter("average_pool", since=19)
def average_pool(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    sides = [side for pair in a["padding"] for side in pair]
    reaches = np.repeat(a["window"], 2).tolist()
    if any(not isinstance(n, int) or n >= k for n, k in zip(sides, reaches)):  # which ONNX's has not
        return writer.decomposed(node)
    dilations = list(a["dilation"]) if any(d != 1 for d in a["dilation"]) else None
    return writer.emit(
        "AveragePool",
        [x],
        kernel_shape=list(a["window"]),
        strides=list(a["strides"]),
        dilations=dilations,
        pads=[*(low for low, _ in a["padding"]), *(high for _, high in a["padding"])],
        count_include_pad=int(a["count_include_pad"]),
    )


@exporter("conv_transpose")
def conv_transpose(writer: Writer, node: Node, x: str, w: str) -> str:
    a, rank = node.attributes, node.inputs[0].rank
    narrow = node.inputs[0].dtype in (np.dtype(np.float32), np.dtype(np.float16))
    fits = all(e == 0 or e < max(s, d) for e, s, d in zip(a["output_padding"], a["strides"], a["dilations"]))
    if not narrow or not fits or any(not isinstance(n, int) or n < 0 for pair in a["padding"] for n in pair):
        return writer.decomposed(node)
    last = a["layout"] == "channels_last"
    if last:
        x = writer.transpose(x, [0, rank - 1, *range(1, rank - 1)])
        w = writer.transpose(w, [rank - 1, rank - 2, *range(rank - 2)])
    y = writer.emit(
        "ConvTranspose",
        [x, w, *writer.bias(node)],
        strides=list(a["strides"]),
        dilations=list(a["dilations"]),
        group=a["groups"],
        pads=[*(low for low, _ in a["padding"]), *(high for _, high in a["padding"])],
        output_padding=list(a["output_padding"]) if any(a["output_padding"]) else None,
    )
    return writer.transpose(y, [0, *range(2, rank), 1]) if last else y


@exporter("resize", since=19)
def resize(writer: Writer, node: Node, x: str, *computed: str) -> str:
    """By sizes, or by scales where they say more than the sizes; runtimes interpolate along the last two axes only."""
    a, tensor = node.attributes, node.inputs[0]
    changed = [axis for axis, (size, extent) in enumerate(zip(a["sizes"], tensor.shape)) if size != extent]
    plain = a["coordinate_mode"] != "tf_crop_and_resize" and not a["antialias"]
    if computed or not plain or (a["mode"] != "nearest" and (tensor.rank > 4 or any(axis < tensor.rank - 2 for axis in changed))):
        return writer.decomposed(node)
    inputs = [x, "", "", writer.shape(a["sizes"])]
    if a["scales"] is not None:
        scales = [1.0 if s is None else s for s in a["scales"]]
        if scaled_sizes(tensor.shape, scales) != tuple(a["sizes"]) or any(
            s is None and axis in changed for axis, s in enumerate(a["scales"])
        ):
            return writer.decomposed(node)
        inputs = [x, "", writer.constant(np.asarray(scales, np.float32))]
    return writer.emit("Resize", inputs, mode=a["mode"], coordinate_transformation_mode=a["coordinate_mode"],
                       nearest_mode=a["nearest_mode"] if a["mode"] == "nearest" else None,
                       cubic_coeff_a=a["cubic_coefficient"] if a["mode"] == "cubic" else None,
                       exclude_outside=int(a["exclude_outside"]) if a["mode"] == "cubic" else None)


@exporter("logsumexp", since=18)
def logsumexp(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    return writer.emit(
        "ReduceLogSumExp", [x, writer.vector(a["axes"])], keepdims=int(a["keepdims"]), noop_with_empty_axes=1
    )


# -- recurrent ---------------------------------------------------------------------------------------------------------
_FLAGS = {"rnn": (), "gru": ("linear_before_reset",), "lstm": ("input_forget",)}
_OPTIONAL = {"rnn": ("b", "sequence_lens", "initial_h"), "gru": ("b", "sequence_lens", "initial_h"),
             "lstm": ("b", "sequence_lens", "initial_h", "initial_c", "p")}


@exporter("rnn", "gru", "lstm", since=14)
def recurrent(writer: Writer, node: Node, x: str, w: str, r: str, *optional: str) -> list[str]:
    a = node.attributes
    given = dict(zip(a["present"], optional, strict=True))
    inputs = [x, w, r, *(given.get(name, "") for name in _OPTIONAL[node.op])]
    if "sequence_lens" in given and node.inputs[3 + a["present"].index("sequence_lens")].dtype != np.int32:
        raise UnsupportedOperatorError(f"{node!r}: sequence_lens must be int32")
    while inputs[-1] == "":
        inputs.pop()
    lists = {"activations": a["activations"], "activation_alpha": a["alphas"], "activation_beta": a["betas"]}
    return writer.emit(
        node.op.upper(),
        inputs,
        len(node.outputs),
        direction=a["direction"],
        hidden_size=int(node.inputs[2].shape[-1]),
        clip=a["clip"] if a["clip"] > 0 else None,
        **{key: list(value) for key, value in lists.items() if value},
        **{flag: int(a[flag]) for flag in _FLAGS[node.op]},
    )
