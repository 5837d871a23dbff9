"""Write distance.onnx: points float32[batch, 2] → distance float32[batch]."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from compile_and_call import small_model  # noqa: E402

small_model(Path(sys.argv[1] if len(sys.argv) > 1 else "distance.onnx"))
