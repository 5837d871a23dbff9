"""The models that are mutated: small ones of this repository, those that come with the onnx package, and the ONNX node suite.

Files in a directory of one's own can be added. The order is always the same, so that a seed means the same attempt.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.version_converter

from dlcompile.frontends.onnx.reader import OLDEST_OPSET

NEWER = 13
LARGEST = 400_000  # bytes; larger models make attempts slow, and have nothing in them that the smaller do not


@dataclass(frozen=True)
class Entry:
    """A model: its name, and its bytes."""

    name: str
    data: bytes


def small() -> list[Entry]:
    """What is there within a second: this repository's test models, and those of the onnx package's converted PyTorch tests."""
    from tests import onnx_models as models

    found = [Entry(f"models.{name}", build().SerializeToString(deterministic=True)) for name, build in models.BUILDERS.items()]
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    old = [entry for kind in ("pytorch-converted", "pytorch-operator", "simple") for entry in files(folder / kind)]
    return [*found, *(entry if index % 8 == 0 else _brought_up(entry) for index, entry in enumerate(old))]


def _brought_up(entry: Entry) -> Entry:
    """The model in a newer opset, where it has one that goes through the version converter of the onnx package: most attempts should go
    further than that."""
    model = onnx.ModelProto.FromString(entry.data)
    if max((i.version for i in model.opset_import if i.domain == ""), default=NEWER) >= OLDEST_OPSET:
        return entry
    try:
        return Entry(entry.name, onnx.version_converter.convert_version(model, NEWER).SerializeToString(deterministic=True))
    except Exception:  # the converter raises whatever its C++ meets
        return entry


def node_suite() -> list[Entry]:
    """The models of the ONNX node suite, which takes some seconds."""
    import warnings

    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    return [Entry(case.name, case.model.SerializeToString(deterministic=True)) for case in sorted(cases, key=lambda c: c.name)]


def files(folder: Path) -> list[Entry]:
    """The ONNX files of a directory and those below, where they are not too large."""
    paths = sorted(p for p in folder.rglob("*.onnx") if p.stat().st_size <= LARGEST)
    return [Entry(str(p.relative_to(folder.parent)), p.read_bytes()) for p in paths]


def corpus(folders: Sequence[Path] = (), suite: bool = True) -> list[Entry]:
    """All of them."""
    return [*small(), *(node_suite() if suite else ()), *(entry for folder in folders for entry in files(folder))]
