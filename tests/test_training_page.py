"""The code of docs/training.md runs, block by block, and prints what the page says."""
from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

from dlcompile import config

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, int]]:
    """(language, text, line) of each block of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return [(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in BLOCK.finditer(text)]


def test_blocks_run_and_print_what_the_page_says(one_processor, tmp_path, monkeypatch):
    for needed in ("sklearn", "onnxruntime"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    checker, options = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    printed = None
    try:
        for language, text, line in blocks():
            if language == "python":
                assert not printed, f"line {line}: what the block before prints is not on the page:\n{printed}"
                with contextlib.redirect_stdout(io.StringIO()) as stdout:
                    exec(compile("\n" * line + text, str(PAGE), "exec"), names)
                printed = stdout.getvalue()
            else:
                assert checker.check_output(text, printed, options), f"line {line}: printed is\n{printed}"
                printed = None
    finally:
        config._forget()
    assert not printed and {"digits.keras", "digits.onnx", "digits.so", "digits.h", "best.keras", "log.csv"} <= {p.name for p in tmp_path.iterdir()}


def test_the_page_has_blocks_of_both_kinds():
    languages = [language for language, _, _ in blocks()]
    assert set(languages) == {"python", "text"} and languages.count("python") >= 10
