"""What pyproject.toml cannot say: the Cython call path, cffi's declarations, and the C headers that go with the package."""
from __future__ import annotations

import runpy
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
HEADERS = sorted((ROOT / "csrc").glob("*.h"))


def call_path() -> list[Extension]:
    """`optional`: it needs Python's own headers (python3-dev); without it `runtime/fallback.py` does its work, slower by microseconds."""
    from Cython.Build import cythonize

    extension = Extension("dlcompile.runtime._call", ["dlcompile/runtime/_call.pyx"], optional=True)
    return cythonize([extension], build_dir="build/cython", quiet=True)


class BuildPython(build_py):
    """Adds `dlcompile/_csrc/` (in a checkout `csrc/` is found where it is) and `dlcompile/runtime/_abi.py`."""

    def run(self) -> None:
        super().run()
        package = ROOT / "dlcompile" if self.editable_mode else Path(self.build_lib, "dlcompile")
        declare = runpy.run_path(str(ROOT / "dlcompile" / "runtime" / "abi.py"))["make_builder"]
        builder = declare((ROOT / "csrc" / "dlc_model.h").read_text(encoding="utf-8"))
        builder.emit_python_code(str(package / "runtime" / "_abi.py"))
        if not self.editable_mode:
            (package / "_csrc").mkdir(exist_ok=True)
            for header in HEADERS:
                shutil.copy2(header, package / "_csrc" / header.name)


setup(ext_modules=call_path(), cmdclass={"build_py": BuildPython})
