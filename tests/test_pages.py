"""docs/operators.md is what docs/make_pages.py makes of the tables and the last run of the suite."""
from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import onnx
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("make_pages", DOCS / "make_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record(pages):
    return json.loads(pages.RECORD.read_text(encoding="utf-8"))


def test_the_page_is_up_to_date(pages, record):
    if record["onnx"] != onnx.__version__:
        pytest.skip(f"the page is made with onnx {record['onnx']}")
    assert (DOCS / "operators.md").read_text(encoding="utf-8") == pages.page(record), "run `make docs`"


def test_every_operator_has_one_place(pages, record):
    text = pages.page(record)
    head, tail = text.split("## What is left out")
    for domain in pages.DOMAINS:
        for name in pages.versions_of(domain):
            full = f"{domain}.{name}" if domain else name
            there, left_out = f"| `{name}` |" in head, f"| `{full}` |" in tail.split("## dlcompile's own")[0]
            assert there or left_out, full


def test_versions(pages):
    versions = pages.versions_of("")
    assert versions["Add"] == [7, 13, 14]
    assert versions["TopK"][0] == 1 and 10 in versions["TopK"]
    assert versions["Scatter"] == [9]  # replaced in opset 11
    assert "Attention" in versions and "LabelEncoder" in pages.versions_of("ai.onnx.ml")


def test_reasons_are_of_operators_that_are_left_out(pages):
    for domain, name in pages.REASONS:
        assert not pages.way_in(domain, name), name


def test_every_row_of_the_import_table_is_listed(pages):
    listed = {(domain, name) for domain in pages.DOMAINS for name in pages.versions_of(domain)}
    of_onnx = {(s.domain, s.name) for s in onnx.defs.get_all_schemas_with_history()}
    assert pages.IMPORTERS.keys() & of_onnx <= listed
