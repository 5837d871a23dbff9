"""What docs/operators.md is made from: the results of a run, summed up by operator."""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, TypeProto

from tests.onnx_suite.cases import Case, left_out
from tests.onnx_suite.running import Result


def operators_of(model: onnx.ModelProto) -> list[str]:
    """The operators of a model's main graph, `domain.Name` where the domain is not ONNX's own."""
    return sorted({f"{n.domain}.{n.op_type}" if n.domain not in ("", "ai.onnx") else n.op_type for n in model.graph.node})


def types_of(model: onnx.ModelProto) -> set[str]:
    """The element types of a model's inputs and outputs."""
    return {name for value in (*model.graph.input, *model.graph.output) for name in _element_types(value.type)}


def _element_types(value: TypeProto) -> Iterable[str]:
    match value.WhichOneof("value"):
        case "tensor_type":
            yield TensorProto.DataType.Name(value.tensor_type.elem_type).lower()
        case "sequence_type":
            yield "sequence"
            yield from _element_types(value.sequence_type.elem_type)
        case "optional_type":
            yield "optional"
            yield from _element_types(value.optional_type.elem_type)


def record(cases: Sequence[Case], results: Sequence[Result], target: str) -> dict[str, Any]:
    """kinds: cases and passes of each kind. operators: of each, the cases it is the only operator of and how many pass,
    the largest error of those, the element types of their inputs and outputs, the forms of kernel that compute them.
    failures: names and reasons."""
    by_name = {c.name: c for c in cases}
    kinds: dict[str, dict[str, int]] = {}
    operators: dict[str, dict[str, Any]] = {}
    for result in results:
        kind = kinds.setdefault(result.kind, {"cases": 0, "passed": 0})
        kind["cases"] += 1
        kind["passed"] += not result.failure
        model = by_name[result.name].model()
        names = operators_of(model)
        if len(names) != 1:
            continue
        entry = operators.setdefault(names[0], {"cases": 0, "passed": 0, "error": 0.0, "types": set(), "forms": set()})
        entry["cases"] += 1
        if not result.failure:
            entry["passed"] += 1
            entry["error"] = max(entry["error"], float(f"{result.error:.1e}"))
            entry["types"] |= types_of(model)
            entry["forms"] |= set(result.forms)
    for entry in operators.values():
        entry["types"], entry["forms"] = sorted(entry["types"]), sorted(entry["forms"])
    failures = {r.name: left_out(r.name) or r.failure.strip().split("\n")[0] for r in results if r.failure}
    return {"onnx": onnx.__version__, "target": target, "kinds": kinds, "operators": dict(sorted(operators.items())), "failures": failures}


def write(path: Path, content: dict[str, Any]) -> None:
    """An operator a line."""
    lines = [f'  {json.dumps(key)}: {json.dumps(value)}' for key, value in content["operators"].items()]
    rest = {key: value for key, value in content.items() if key != "operators"}
    head = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in rest.items())
    path.write_text("{\n" + head + ',\n "operators": {\n' + ",\n".join(lines) + "\n }\n}\n", encoding="utf-8")
