"""ONNX models: `import_onnx` makes graphs of them, `export_onnx` writes graphs as them."""
from dlcompile.frontends.onnx.exporter import export_onnx
from dlcompile.frontends.onnx.importer import import_onnx

__all__ = ["export_onnx", "import_onnx"]
