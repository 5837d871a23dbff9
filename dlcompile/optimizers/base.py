"""`Optimizer`: how gradients change variables."""
from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dlcompile import config, initializers, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.naming import auto_name, class_name
from dlcompile.optimizers.clipping import clip_by_global_norm, clip_by_norm
from dlcompile.optimizers.schedules import LearningRateSchedule
from dlcompile.registry import deserialize, serialize, suggestion
from dlcompile.variables import Variable

COMMON = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
          "gradient_accumulation_steps", "name")


class Optimizer:
    """What changes variables by gradients. All it keeps is in variables, so that its step is part of a compiled training step.

    A class of one's own defines `update_step(self, gradient, variable, learning_rate)`, which assigns the variable, and in `slots` what it keeps
    for each variable (or makes variables in `build`, as with Keras):

        class Momentum(Optimizer):
            def slots(self):
                return {"velocity": 0.0}                       # name: first value

            def update_step(self, gradient, variable, learning_rate):
                velocity = self.slot("velocity", variable)
                velocity.assign(0.9 * velocity - learning_rate * gradient)
                variable.assign_add(velocity)

    learning_rate:    a number, a schedule (a function of the number of steps), or a function without arguments.
    weight_decay:     before each step a variable loses this share of itself, times the learning rate (Loshchilov & Hutter 2019).
    clipnorm, clipvalue, global_clipnorm: one of them at most. A gradient of a larger norm is scaled to this one; values beyond ±this are cut off;
                      all gradients are scaled together so that their norm is this.
    use_ema:          keep moving averages of the variables, m average + (1 - m) variable with m = ema_momentum, and put them in the variables'
                      place every `ema_overwrite_frequency` steps, and at the end of training.
    loss_scale_factor: the loss is multiplied by it (`scale_loss`) and gradients are divided by it, for types in which small ones vanish.
    gradient_accumulation_steps: only one in so many steps changes variables, by the mean of the gradients since the last.
    """

    def __init__(self, learning_rate: float | Callable[..., Any] = 0.01, weight_decay: float | None = None, clipnorm: float | None = None,
                 clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
                 ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
                 gradient_accumulation_steps: int | None = None, name: str | None = None, **kwargs):
        if kwargs:
            unknown = next(iter(kwargs))
            raise ArgumentError(f"{type(self).__name__} has no argument {unknown!r}{suggestion(unknown, ('learning_rate', *COMMON))}")
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ArgumentError("only one of clipnorm, clipvalue and global_clipnorm can be given")
        for what, limit in (("clipnorm", clipnorm), ("clipvalue", clipvalue), ("global_clipnorm", global_clipnorm)):
            if limit is not None and not limit > 0:
                raise ArgumentError(f"{what} is a number greater than 0, not {limit!r}")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"ema_momentum is from 0 to 1, not {ema_momentum!r}")
        for what, count, least in (("ema_overwrite_frequency", ema_overwrite_frequency, 1),
                                   ("gradient_accumulation_steps", gradient_accumulation_steps, 2)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < least):
                raise ArgumentError(f"{what} is a whole number from {least} on, not {count!r}")
        self.name = name or auto_name(class_name(type(self)))
        self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm = weight_decay, clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = use_ema, ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor, self.gradient_accumulation_steps = loss_scale_factor, gradient_accumulation_steps
        self.built = False
        self._variables: list[Variable] = []
        self._slots: dict[str, list[Variable]] = {}
        self._places: dict[Variable, int] = {}
        self._undecayed: tuple[set[Variable], re.Pattern | None] = (set(), None)
        self._powers: dict[tuple, Tensor] = {}
        self._iterations = self._new(Variable(np.int64(0), trainable=False, name="iteration"))
        if callable(learning_rate):
            self._learning_rate: Any = learning_rate
        else:
            self._learning_rate = self._new(Variable(_rate(learning_rate), dtype=config.floatx(), trainable=False, name="learning_rate"))

    # -- variables ------------------------------------------------------------------------------------------------------------
    def _new(self, variable: Variable) -> Variable:
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """All that it keeps: the number of steps, the learning rate unless it is a schedule, and what it has for each variable."""
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """How many times variables were changed."""
        if not self.gradient_accumulation_steps:
            return self._iterations
        return eager(ops.div)(self._iterations, self.gradient_accumulation_steps)

    @property
    def learning_rate(self) -> Any:
        """A variable, which may be assigned; what a schedule says for this step; or what a function returns."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return self._learning_rate if isinstance(self._learning_rate, Variable) else self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            if isinstance(self._learning_rate, Variable):
                self._variables.remove(self._learning_rate)
            self._learning_rate = value
        elif isinstance(self._learning_rate, Variable):
            self._learning_rate.assign(value if isinstance(value, (Tensor, Variable)) else _rate(value))
        else:
            raise ArgumentError(f"the learning rate of {self.name} comes from {type(self._learning_rate).__name__}, so it cannot be set to {value!r}; "
                                "an optimizer that was given a number has one that can")

    def slots(self) -> dict[str, float]:
        """What is kept for each variable, of its shape and type: {name: first value}."""
        return {}

    def build(self, variables: Sequence[Variable]) -> None:
        """Make what is kept for each of the variables to be changed."""
        if self.built:
            return
        self._places = {variable: i for i, variable in enumerate(variables)}
        first = {**({"average": None} if self.use_ema else {}), **({"gradient_accumulator": 0.0} if self.gradient_accumulation_steps else {}),
                 **self.slots()}
        self._slots = {name: [] for name in first}
        for variable in variables:
            for name, value in first.items():
                given = variable.numpy() if value is None else "zeros" if value == 0 else initializers.Constant(value)
                self._slots[name].append(self.add_variable_from_reference(variable, name, given))
        self.built = True

    def add_variable(self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, aggregation: str | None = None,
                     layout: Any = None, name: str | None = None) -> Variable:
        """A variable of the optimizer's own; `aggregation` and `layout` are there for scripts that give them."""
        return self._new(Variable(initializers.get(initializer), tuple(shape), dtype or config.floatx(), False, name or "variable"))

    def add_variable_from_reference(self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros") -> Variable:
        """A variable of the shape and type of another one, named after it."""
        full = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=full)

    def add_optimizer_variables(self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros") -> Any:
        """Lists of variables like the given ones, one for each name, or one where `name` is one."""
        names = [name] if isinstance(name, str) else list(name)
        first = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(first) != len(names):
            raise ArgumentError(f"{len(first)} initializers for the names {', '.join(names)}")
        made = [[self.add_variable_from_reference(variable, n, i) for n, i in zip(names, first)] for variable in trainable_variables]
        columns = tuple([row[k] for row in made] for k in range(len(names)))
        return columns[0] if isinstance(name, str) else columns

    def slot(self, name: str, variable: Variable) -> Variable:
        """What is kept under a name (see `slots`) for a variable."""
        return self._slots[name][self._places[variable]]

    def _get_variable_index(self, variable: Variable) -> int:
        return self._places[variable]

    # -- a step ---------------------------------------------------------------------------------------------------------------
    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        """Change a variable by its gradient; to be defined by each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_step(self, gradient, variable, learning_rate)")

    def begin_step(self, learning_rate: Any) -> None:
        """What is done once in a step, before the variables are changed one by one."""

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """`apply` for pairs (gradient, variable); returns `iterations`."""
        grads, variables = zip(*grads_and_vars)
        self.apply(list(grads), list(variables))
        return self.iterations

    @eager
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Change variables by their gradients: those it is built for, or the given ones, for which it is built the first time.

        A gradient may be None where a variable has no influence: it stays as it is. ArgumentError for variables it is not built for,
        ShapeError for a gradient that does not go with its variable.
        """
        if not len(grads):
            return
        if trainable_variables is None:
            if not self.built:
                raise ArgumentError(f"{self.name} does not know its variables yet: build(variables) comes before apply(gradients)")
            trainable_variables = list(self._places)
        trainable_variables = list(trainable_variables)
        if len(grads) != len(trainable_variables):
            raise ArgumentError(f"{len(grads)} gradients for {len(trainable_variables)} variables")
        if not self.built:
            self.build(trainable_variables)
        unknown = [v.path for v in trainable_variables if v not in self._places]
        if unknown:
            raise ArgumentError(f"{self.name} was built for other variables than {', '.join(unknown)}; a new optimizer is needed for new variables")
        pairs = self._present(grads, trainable_variables)
        self._powers = {}
        if self.gradient_accumulation_steps:
            self._accumulate(pairs)
        else:
            self._change(pairs)
        if self.use_ema:
            self._average()
        for _, variable in pairs:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign_add(1)
        self._powers = {}

    def _present(self, grads: Sequence[Any], variables: Sequence[Variable]) -> list[tuple[Tensor, Variable]]:
        missing = [v.path for g, v in zip(grads, variables) if g is None]
        if len(missing) == len(grads):
            raise ArgumentError("there is no gradient for any variable")
        if missing:
            warnings.warn(f"there are no gradients for {', '.join(missing)}: the loss does not depend on them", stacklevel=5)
        found = []
        for gradient, variable in zip(grads, variables):
            if gradient is None:
                continue
            gradient = ops.cast(ops.as_tensor(gradient), variable.dtype)
            if gradient.shape != variable.shape:
                raise ShapeError(f"the gradient of {variable.path} is {gradient.type}, the variable {variable.type}")
            found.append((gradient if self.loss_scale_factor is None else gradient / self.loss_scale_factor, variable))
        return found

    def _change(self, pairs: Sequence[tuple[Tensor, Variable]]) -> None:
        grads = self._clipped([gradient for gradient, _ in pairs])
        rate = self.learning_rate
        rates = {dtype: ops.cast(ops.as_tensor(rate), dtype) for dtype in {v.dtype for _, v in pairs}}
        if self.weight_decay is not None:
            for _, variable in pairs:
                if self._is_decayed(variable):
                    variable.assign(variable - variable * self.weight_decay * rates[variable.dtype])
        self.begin_step(rate)
        for gradient, (_, variable) in zip(grads, pairs):
            self.update_step(gradient, variable, rates[variable.dtype])

    def _clipped(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipnorm is not None:
            return [clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm is not None:
            return clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def _accumulate(self, pairs: Sequence[tuple[Tensor, Variable]]) -> None:
        """Add the gradients up; in the last step of a round change the variables by their mean. Both are computed in every step, and one is
        taken."""
        steps = self.gradient_accumulation_steps
        last = ops.eq(ops.rem(self._iterations + 1, steps), 0)
        sums = [self.slot("gradient_accumulator", v) for _, v in pairs]
        totals = [gradient + kept for (gradient, _), kept in zip(pairs, sums)]
        touched = [v for v in (*self._variables, *(v for _, v in pairs)) if v is not self._iterations and v not in set(sums)]
        before = {v: ops.as_tensor(v) for v in touched}
        self._change([(total / float(steps), variable) for total, (_, variable) in zip(totals, pairs)])
        for variable, old in before.items():
            if ops.as_tensor(variable) is not old:
                variable.assign(ops.select(last, variable, old))
        for kept, total in zip(sums, totals):
            kept.assign(ops.select(last, ops.as_tensor(0, kept.dtype), total))

    def _average(self) -> None:
        first = ops.eq(self.iterations, 0)
        for variable in self._places:
            average = self.slot("average", variable)
            momentum = ops.select(first, ops.as_tensor(0, variable.dtype), ops.as_tensor(self.ema_momentum, variable.dtype))
            average.assign(momentum * average + (1.0 - momentum) * variable)
            if self.ema_overwrite_frequency:
                due = ops.eq(ops.rem(self.iterations + 1, self.ema_overwrite_frequency), 0)
                variable.assign(ops.select(due, average, variable))

    def power(self, base: float, dtype: Any) -> Tensor:
        """base**(steps + 1), computed once in a step."""
        key = (base, np.dtype(dtype))
        if key not in self._powers:
            self._powers[key] = ops.pow(ops.as_tensor(base, dtype), ops.cast(self.iterations + 1, dtype))
        return self._powers[key]

    # -- the rest -------------------------------------------------------------------------------------------------------------
    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`, where there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None) -> None:
        """Variables that do not decay: the given ones, and those in whose name one of the patterns (regular expressions) is found."""
        if self.built:
            raise ArgumentError(f"what {self.name} excludes from weight decay has to be said before it is built")
        self._undecayed = (set(var_list or ()), re.compile("|".join(var_names)) if var_names else None)

    def _is_decayed(self, variable: Variable) -> bool:
        variables, pattern = self._undecayed
        return variable not in variables and not (pattern is not None and pattern.search(variable.name))

    def averages(self) -> list[tuple[Variable, Variable]]:
        """(variable, its moving average), where they are kept."""
        return [(variable, self.slot("average", variable)) for variable in self._places] if self.use_ema and self.built else []

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """At the end of training: the moving averages take the variables' place, where they are kept."""
        if self.use_ema:
            for variable in var_list:
                if variable in self._places:
                    variable.assign(self.slot("average", variable).value)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `variables`."""
        if len(weights) != len(self._variables):
            raise ArgumentError(f"{self.name} has {len(self._variables)} variables, not {len(weights)}"
                                + ("" if self.built else "; it has not been built yet"))
        for variable, value in zip(self._variables, weights):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put the variables' arrays into a mapping, by their places."""
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Assign the variables from what `save_own_variables` has stored."""
        self.set_weights([np.asarray(store[str(i)]) for i in range(len(list(store.keys())))])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an optimizer like this one."""
        rate = float(self._learning_rate.numpy()) if isinstance(self._learning_rate, Variable) else serialize(self._learning_rate)
        return {"name": self.name, "learning_rate": rate, **{key: getattr(self, key) for key in COMMON if key != "name"}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __iter__(self) -> Iterator:
        raise TypeError(f"{type(self).__name__} is no sequence; see its variables")


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number, np.ndarray)) or np.ndim(value):
        raise ArgumentError(f"a learning rate is a number, a LearningRateSchedule or a function without arguments, not {value!r}")
    return float(value)


__all__ = ["Optimizer"]
