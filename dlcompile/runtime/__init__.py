"""Loading and calling compiled models."""
from dlcompile.runtime.model import CompiledModel, check_threads, load
from dlcompile.runtime.ports import CallInfo, CallProfile, ModelInfo, TensorInfo

__all__ = ["CallInfo", "CallProfile", "CompiledModel", "ModelInfo", "TensorInfo", "check_threads", "load"]
