"""Each package imports only from those to its left on the road that a model travels."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "dlcompile"
ROAD = ("version", "errors", "tree", "graph", "ops", "autodiff", "operators", "frontends", "transforms", "kernels", "codegen", "toolchain", "runtime",
        "tuning", "compiler", "onnx_backend", "variables", "config", "functional", "registry", "naming", "backend", "masks", "eager", "random", "initializers",
        "regularizers", "constraints", "loops", "losses", "metrics", "optimizers", "progress", "callbacks", "data", "training", "activations", "layers",
        "models", "saving", "utils", "cli")

MODULES = sorted(p for p in ROOT.rglob("*.py") if p.name != "_abi.py" and p.parent != ROOT or p.stem in ROAD)


def imports(path: Path) -> set[tuple[str, int]]:
    """(first part of the name below dlcompile, line) of every import in a module, also those inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "dlcompile" else [f"dlcompile.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "dlcompile" and len(parts) > 1:
                found.add((parts[1], node.lineno))
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}:{node.lineno}: a relative import"
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_left(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert package in ROAD, f"{package} has no place on the road"
    for other, line in imports(path):
        if other in ROAD and package != "cli":  # public names of dlcompile itself are for the command line and for users
            assert ROAD.index(other) <= ROAD.index(package), f"{path}:{line}: {package} must not import {other}"
        elif package != "cli":
            assert (ROOT / other).exists() or (ROOT / f"{other}.py").exists(), f"{path}:{line}: {package} imports dlcompile.{other} by its public name"


def test_the_road_is_complete() -> None:
    packages = {p.name.removesuffix(".py") for p in ROOT.iterdir() if p.name.isidentifier() or p.suffix == ".py"} - {"__pycache__", "_csrc"}
    assert packages - {"__init__", "__main__"} == set(ROAD)


def test_loading_a_library_imports_neither_onnx_nor_the_compiler() -> None:
    code = ("import sys, dlcompile; dlcompile.load; "
            "print([m for m in ('onnx', 'click', 'rich', 'dlcompile.transforms', 'dlcompile.operators', 'dlcompile.kernels.schedule') if m in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert result.stdout.strip() == "[]"
