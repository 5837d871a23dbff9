"""What all tests share: a cache of their own, small models as files, and what the machine has."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest

from tests import onnx_models as models


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--onnx-suite", action="store_true", help="compile all of the onnx package's backend tests, not a share of them")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Nothing that a test compiles comes from, or goes to, the cache of whoever runs it."""
    before = os.environ.get("DLCOMPILE_CACHE_DIR")
    os.environ["DLCOMPILE_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["DLCOMPILE_CACHE_DIR"]
    else:
        os.environ["DLCOMPILE_CACHE_DIR"] = before


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory):
    """The settings are the defaults, whatever those are of whoever runs the tests, and so are those of processes that a test starts."""
    before = {name: os.environ.pop(name, None) for name in ("DLCOMPILE_HOME", "DLCOMPILE_BACKEND")}
    os.environ["DLCOMPILE_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.update({name: value for name, value in before.items() if value is not None})


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models of `tests/onnx_models.py` as ONNX files, by name."""
    directory = tmp_path_factory.mktemp("models")
    paths = {}
    for name, build in models.BUILDERS.items():
        paths[name] = directory / f"{name}.onnx"
        onnx.save(build(), paths[name])
    return paths


@pytest.fixture(scope="module")
def one_processor():
    """This process and those that it starts stay on one processor: where other tests run beside, a small model's threads would wait for one another."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    os.sched_setaffinity(0, {sorted(before)[worker % len(before)]})
    yield
    os.sched_setaffinity(0, before)


def compiler(*names: str) -> str:
    """The first of the compilers that is installed; the test is skipped where none is."""
    for name in names:
        if shutil.which(name):
            return name
    pytest.skip(f"none of {', '.join(names)} is installed")


def sanitizers_work(command: str, directory: Path, flags: tuple[str, ...]) -> bool:
    """Whether a program built with these sanitizers links and runs here."""
    source = directory / "sanitized.c"
    source.write_text("int main(void) { return 0; }\n")
    program = directory / "sanitized"
    built = subprocess.run([command, *flags, str(source), "-o", str(program)], capture_output=True)
    return built.returncode == 0 and subprocess.run([str(program)], capture_output=True).returncode == 0
