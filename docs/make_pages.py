"""Write the pages that are made from the code: docs/operators.md, the table of operators. `make docs` runs this."""
from __future__ import annotations

import inspect
from pathlib import Path

import dlcompile.operators  # noqa: F401  (fills the table of operators)
from dlcompile import ops
from dlcompile.graph import OPERATORS

HEAD = """# Operators

Made by `make docs` from the table in `dlcompile/operators/`. *exact*: the same bits as the NumPy definition. *rounded*: a rounding for each element.
*sum*: the order of a sum is free.
"""


def first_sentence(function) -> str:
    text = inspect.getdoc(function) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def main() -> None:
    families: dict[str, list] = {}
    for row in OPERATORS.values():
        families.setdefault(row.family, []).append(row)
    text = HEAD
    for family in sorted(families, key=lambda f: (f == "composite", f)):
        text += f"\n## {family}\n\n| operator | accuracy | |\n|---|---|---|\n"
        for row in sorted(families[family], key=lambda r: r.name):
            function = row.decompose or getattr(ops, row.name, None)
            text += f"| `{row.name}` | {row.accuracy} | {first_sentence(function) if function else ''} |\n"
    Path(__file__).with_name("operators.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
