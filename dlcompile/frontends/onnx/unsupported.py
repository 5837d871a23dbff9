"""Operators that ONNX has and dlcompile does not, and why: for the error a model with one of them gets, and for
docs/operators.md."""
from __future__ import annotations

REASONS: dict[tuple[str, str], str] = {
    ("", "ImageDecoder"): "decoding JPEG, PNG, WebP and other files needs libraries that a compiled model does not depend on",
}
"""(domain, operator) → why it is left out"""


def reason(domain: str, name: str) -> str:
    """Why an operator is left out, in brackets; empty where nothing is known of it."""
    text = REASONS.get((domain, name))
    return f" ({text})" if text else ""
