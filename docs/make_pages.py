"""Write the page that is made from the code and from the last run of the onnx package's tests: docs/operators.md. `make
docs` runs this.

The run is in docs/onnx_suite.json: `python -m tests.onnx_suite --record docs/onnx_suite.json` writes that.
"""
from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

import dlcompile.frontends.onnx  # noqa: F401  (fills the tables of importers and exporters)
from dlcompile import ops
from dlcompile.frontends.onnx.node import IMPORTERS
from dlcompile.frontends.onnx.reader import OLDEST_OPSET
from dlcompile.frontends.onnx.unsupported import REASONS
from dlcompile.frontends.onnx.whole import WHOLE
from dlcompile.graph import OPERATORS

DOCS = Path(__file__).resolve().parent
RECORD = DOCS / "onnx_suite.json"
DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")

HEAD = """\
# Operators

Made by `make docs` from the tables of operators, the schemas of onnx {onnx}, and the last run of that package's backend tests, all of them
compiled for {target} and compared at the tests' own tolerances:

| kind of case | cases | pass |
|---|---|---|
{kinds}

## ONNX operators

*Versions*: those of the operator that there are from opset {oldest} on; all are imported, and models of older opsets are converted to {oldest}.
*By*: a row of the import table, or the function body that ONNX itself gives the operator, expanded; *whole* where the graph keeps the operator as
it is until lowering, for export. *Kernels*: the forms of kernel
(docs/architecture.md) that computed the cases. *Types*: the element types of the cases' inputs and outputs. *Cases*: those with this
operator alone that pass, of how many; operators are used in further cases with others. *Error*: the largest seen in any element, relative to
the larger of 1 and the expected value.
"""

LEFT_OUT = """
## What is left out

A model with one of these operators is refused when it is compiled, with an error that names it.
"""

OWN = """
## dlcompile's own operators

What graphs are made of (`dlcompile.ops`, `dlcompile/operators/`). *exact*: the same bits as the NumPy definition. *rounded*: a rounding for
each element. *sum*: the order of a sum is free.
"""


def versions_of(domain: str) -> dict[str, list[int]]:
    """The operators of a domain that are not deprecated, each with the versions a model that is imported can have."""
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == domain:
            found.setdefault(schema.name, []).append(schema)
    oldest = OLDEST_OPSET if domain == "" else 1
    result = {}
    for name, schemas in sorted(found.items()):
        versions = sorted(s.since_version for s in schemas if not s.deprecated)
        last = max((v for v in versions if v <= oldest), default=None)  # in force when opset `oldest` came
        ended = any(s.deprecated and s.since_version <= oldest for s in schemas)
        if versions and not (ended and versions[-1] <= oldest):
            result[name] = [v for v in versions if v == last or v > oldest]
    return result


def way_in(domain: str, name: str) -> str:
    """How an operator is imported: "row", "body", both where only some versions have a row, "" for neither."""
    schema = onnx.defs.get_schema(name, domain=domain)
    body = schema.has_function or schema.has_context_dependent_function
    if (domain, name) in IMPORTERS:
        return "row"
    return "body" if body else ""


def rows(domain: str, record: dict[str, Any]) -> Iterator[str]:
    for name, versions in versions_of(domain).items():
        way = way_in(domain, name)
        if not way:
            continue
        seen = record["operators"].get(f"{domain}.{name}" if domain else name)
        listed = ", ".join(map(str, versions))
        way += ", whole" if name in WHOLE.get(domain, ()) else ""
        if seen is None:
            yield f"| `{name}` | {listed} | {way} | | | | |"
            continue
        error = f"{seen['error']:.0e}" if seen["error"] else "0" if seen["passed"] else ""
        yield (f"| `{name}` | {listed} | {way} | {', '.join(seen['forms'])} | {', '.join(seen['types'])} | "
               f"{seen['passed']} of {seen['cases']} | {error} |")


def left_out(record: dict[str, Any]) -> Iterator[str]:
    """The operators without a way in, then the cases that do not pass."""
    yield "| operator | why |\n|---|---|"
    for domain in DOMAINS:
        for name in versions_of(domain):
            if not way_in(domain, name):
                yield f"| `{domain + '.' if domain else ''}{name}` | {REASONS.get((domain, name), 'not there yet')} |"
    if record["failures"]:
        yield "\nCases of the run that do not pass:\n\n| case | why |\n|---|---|"
        for name, why in record["failures"].items():
            yield f"| `{name}` | {cell(why)} |"


def first_sentence(function) -> str:
    return cell((inspect.getdoc(function) or "").split("\n\n")[0])


def cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def own_operators() -> Iterator[str]:
    families: dict[str, list] = {}
    for row in OPERATORS.values():
        if "." in row.name:
            continue  # one of ONNX's that stays whole
        if row.evaluate or row.decompose or row.name == "define_dim":  # others are made by scheduling, and its own
            families.setdefault(row.family, []).append(row)
    for family in sorted(families, key=lambda f: (f == "composite", f)):
        yield f"\n### {family}\n\n| operator | accuracy | |\n|---|---|---|"
        for row in sorted(families[family], key=lambda r: r.name):
            function = row.decompose or getattr(ops, row.name, None)
            yield f"| `{row.name}` | {row.accuracy} | {first_sentence(function) if function else ''} |"


def page(record: dict[str, Any]) -> str:
    """The text of docs/operators.md."""
    kinds = "\n".join(f"| {kind} | {counts['cases']} | {counts['passed']} |" for kind, counts in record["kinds"].items())
    lines = [HEAD.format(onnx=record["onnx"], target=record["target"], kinds=kinds, oldest=OLDEST_OPSET)]
    for domain in DOMAINS:
        lines.append(f"\n### {domain or 'ai.onnx'}\n\n| operator | versions | by | kernels | types | cases | error |\n|---|---|---|---|---|---|---|")
        lines += rows(domain, record)
    lines += [LEFT_OUT, *left_out(record), OWN, *own_operators()]
    return "\n".join(lines) + "\n"


def main() -> None:
    (DOCS / "operators.md").write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
