"""`Metric`: what is counted from batch to batch; and the means and sums that most metrics are."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlcompile import config, initializers, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, as_dtype, dtype_name
from dlcompile.losses.base import Loss
from dlcompile.losses.operands import floats, safe_div, same_rank
from dlcompile.masks import mask_of
from dlcompile.naming import auto_name, class_name
from dlcompile.registry import Configurable, deserialize, serialize
from dlcompile.variables import Variable


class Metric(Configurable):
    """What is counted from batch to batch. A class of one's own makes variables by `add_weight` and defines

        update_state(self, y_true, y_pred, sample_weight=None)      which assigns them
        result(self)                                                which reads them

    written with `dlcompile.ops`; `reset_state` sets them to 0. Within a compiled training step both are part of it; called with arrays, they are
    evaluated at once. Metrics that are attributes, or in lists that are, belong to the metric.

    dtype: the type of its variables, `config.floatx` by default. name: the key of its value in logs.
    """

    _direction: str | None = None
    """"up" where a larger value is a better one, "down" where a smaller one is, None where that cannot be said"""

    def __init__(self, dtype: Any = None, name: str | None = None):
        self.name = name or auto_name(class_name(type(self)))
        self.dtype = dtype_name(as_dtype(dtype or config.floatx()))
        self._variables: list[Variable] = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for method in ("update_state", "result"):
            if method in vars(cls):
                setattr(cls, method, eager(vars(cls)[method]))

    def add_weight(self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None) -> Variable:
        """A variable of the metric, 0 at first."""
        if "_variables" not in vars(self):
            raise ArgumentError(f"{type(self).__name__}.__init__ does not call super().__init__()")
        shape = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        made = Variable(initializers.get(initializer or "zeros"), shape, dtype or self.dtype, trainable=False, name=name or "weight")
        made.path = f"{self.name}/{made.name}"
        self._variables.append(made)
        return made

    def add_variable(self, shape: Sequence[int], initializer: Any = None, dtype: Any = None, aggregation: str | None = None,
                     name: str | None = None) -> Variable:
        """`add_weight`; `aggregation` is there for scripts that give it."""
        return self.add_weight(shape, initializer, dtype, name)

    @property
    def variables(self) -> list[Variable]:
        """Its variables, and those of metrics that belong to it."""
        found = {id(v): v for v in self._variables}
        for value in vars(self).values():
            for item in value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else [value]:
                owned = item.variables if isinstance(item, Metric) else [item] if isinstance(item, Variable) else []
                found.update((id(v), v) for v in owned)
        return list(found.values())

    def update_state(self, *args, **kwargs) -> None:
        """Count a batch; to be defined by each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state(self, ...)")

    def result(self) -> Any:
        """The value of what has been counted: a scalar, a tensor, or a dictionary of them; to be defined by each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define result(self)")

    def reset_state(self) -> None:
        """Count from the beginning."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def __call__(self, *args, **kwargs) -> Any:
        """Count a batch, and the value since the beginning."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a metric like this one."""
        return {"name": self.name, "dtype": self.dtype}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def weight_of(sample_weight: Any, mask: Any, dtype: Any) -> Tensor | None:
    """The weights of samples or steps, 0 where a mask leaves them out; None where all count."""
    if mask is None:
        return None if sample_weight is None else floats(sample_weight, dtype)
    kept = ops.cast(ops.as_tensor(mask), as_dtype(dtype))
    if sample_weight is None:
        return kept
    kept, weight = same_rank(kept, floats(sample_weight, dtype))
    rank = max(kept.rank, weight.rank)
    kept, weight = (ops.expand_dims(t, tuple(range(t.rank, rank))) if t.rank < rank else t for t in (kept, weight))
    return kept * weight


def per_sample(values: Any, sample_weight: Tensor | None, reduce: Callable[..., Tensor], dtype: Any) -> tuple[Tensor, Tensor | None]:
    """Weighted values, one for each sample, and the samples' weights. Axes that the weights do not have are reduced before they are multiplied by
    them, others afterwards, and those of the weights in the same way."""
    values = floats(values, dtype)
    if sample_weight is not None:
        values, weight = same_rank(values, floats(sample_weight, dtype))
        if values.rank > weight.rank:
            values = reduce(values, tuple(range(weight.rank, values.rank)))
        weight = ops.broadcast_to(weight, values.shape)
        values = values * weight
        sample_weight = reduce(weight, tuple(range(1, weight.rank))) if weight.rank > 1 else weight
    return reduce(values, tuple(range(1, values.rank))) if values.rank > 1 else values, sample_weight


class Sum(Metric):
    """The sum of values, times their weights.

    >>> total = Sum()
    >>> total.update_state([1, 3, 5])
    >>> total.update_state([7], sample_weight=[2])
    >>> float(total.result())
    23.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_weight(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = per_sample(values, sample_weight, ops.reduce_sum, self.dtype)
        self.total.assign_add(ops.reduce_sum(values))

    def result(self) -> Tensor:
        return self.total.value


class Mean(Metric):
    """The mean of values, weighted by their weights.

    >>> mean = Mean()
    >>> mean.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> float(mean.result())
    2.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_weight(name="total")
        self.count = self.add_weight(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, weight = per_sample(values, sample_weight, ops.reduce_mean, self.dtype)
        if weight is not None:
            count = ops.reduce_sum(weight)
        else:
            count = ops.dim_scalar(values.shape[0] if values.rank else 1, self.dtype)
        self.total.assign_add(ops.reduce_sum(values))
        self.count.assign_add(count)

    def result(self) -> Tensor:
        return safe_div(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """The mean of what a function (y_true, y_pred, **arguments) gives for each sample. Steps that the mask of y_pred leaves out do not count."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs):
        super().__init__(name or getattr(fn, "__name__", None) or getattr(fn, "name", None), dtype)
        self.fn, self.arguments = fn, kwargs
        if isinstance(fn, Loss) or getattr(fn, "__module__", "").startswith("dlcompile.losses"):
            self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = mask_of(y_pred)
        values = self.fn(y_true, y_pred, **self.arguments)
        super().update_state(values, weight_of(sample_weight, mask, self.dtype))

    def get_config(self) -> dict[str, Any]:
        own = {"fn": serialize(self.fn)} if type(self) is MeanMetricWrapper else {}
        return {**super().get_config(), **own, **serialize(self.arguments)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**deserialize(config))


__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum", "per_sample", "weight_of"]
