"""Training: a batch, the loss, its derivatives and the optimizer's step as one compiled graph; `fit`, `evaluate`, `predict`.

`Trainer` is the part of `Model` that has these. `Step` is what makes a graph and a library of a Python function.
"""
from dlcompile.training.step import Step
from dlcompile.training.trainer import Trainer

__all__ = ["Step", "Trainer"]
