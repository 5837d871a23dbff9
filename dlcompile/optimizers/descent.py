"""Optimizers that go along a gradient, its sign, or a running sum of it."""
from __future__ import annotations

from typing import Any

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.optimizers.base import Optimizer
from dlcompile.variables import Variable


def checked_share(what: str, value: float) -> float:
    """A number from 0 to 1. ArgumentError for any other."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ArgumentError(f"{what} is a number from 0 to 1, not {value!r}")
    return float(value)


class SGD(Optimizer):
    """w -= rate g; with momentum m = momentum m - rate g, w += m, or where `nesterov` w += momentum m - rate g (Sutskever et al. 2013)."""

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.momentum, self.nesterov = checked_share("momentum", momentum), bool(nesterov)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign_sub(step)
            return
        m = self.slot("momentum", variable)
        m.assign(m * self.momentum - step)
        variable.assign_add(m * self.momentum - step if self.nesterov else m)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g², w -= rate g / √(v + epsilon) (Tieleman & Hinton 2012); where `centered` with v less the square of a mean of g that
    runs in the same way (Graves 2013); with momentum m = momentum m + that, w -= m."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7, centered: bool = False,
                 weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = checked_share("rho", rho), checked_share("momentum", momentum), epsilon, bool(centered)

    def slots(self) -> dict[str, float]:
        return {"velocity": 0.0, **({"momentum": 0.0} if self.momentum else {}), **({"average_gradient": 0.0} if self.centered else {})}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        v = self.slot("velocity", variable)
        v.assign(self.rho * v + (1 - self.rho) * ops.square(gradient))
        spread = v + self.epsilon
        if self.centered:
            mean = self.slot("average_gradient", variable)
            mean.assign(self.rho * mean + (1 - self.rho) * gradient)
            spread = v - ops.square(mean) + self.epsilon
        step = learning_rate * gradient / ops.sqrt(spread)
        if self.momentum:
            m = self.slot("momentum", variable)
            m.assign(self.momentum * m + step)
            step = m.value
        variable.assign_sub(step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}


class Adagrad(Optimizer):
    """a += g², w -= rate g / √(a + epsilon); a is `initial_accumulator_value` at first (Duchi et al. 2011)."""

    def __init__(self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, weight_decay: float | None = None,
                 **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slots(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        a = self.slot("accumulator", variable)
        a.assign_add(ops.square(gradient))
        variable.assign_sub(learning_rate * gradient / ops.sqrt(a + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}


class Adadelta(Optimizer):
    """a = rho a + (1 - rho) g², d = -g √(b + epsilon) / √(a + epsilon), b = rho b + (1 - rho) d², w += rate d (Zeiler 2012)."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho, self.epsilon = checked_share("rho", rho), epsilon

    def slots(self) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        a, b = self.slot("accumulated_grad", variable), self.slot("accumulated_delta_var", variable)
        a.assign(self.rho * a + (1 - self.rho) * ops.square(gradient))
        step = -(ops.sqrt(b + self.epsilon) * gradient / ops.sqrt(a + self.epsilon))
        b.assign(self.rho * b + (1 - self.rho) * ops.square(step))
        variable.assign_add(learning_rate * step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Ftrl(Optimizer):
    """Follow the regularised leader (McMahan et al. 2013): a' = a + g², z += g + 2 shrinkage w - (a'**-p - a**-p) / rate w,
    w = (clip(z, -l1, l1) - z) / (a'**-p / rate + 2 (l2 + beta / (2 rate))), p being `learning_rate_power`."""

    strengths = ("l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength")

    def __init__(self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
                 l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
                 l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        if learning_rate_power > 0:
            raise ArgumentError(f"learning_rate_power is at most 0, not {learning_rate_power}")
        self.learning_rate_power, self.initial_accumulator_value, self.beta = learning_rate_power, initial_accumulator_value, beta
        for name, value in zip(("initial_accumulator_value", *self.strengths), (
                initial_accumulator_value, l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength)):
            if value < 0:
                raise ArgumentError(f"{name} is at least 0, not {value}")
            setattr(self, name, value)

    def slots(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        a, z, w = self.slot("accumulator", variable), self.slot("linear", variable), variable.value
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength + self.beta / (2.0 * learning_rate)
        new = a + ops.square(gradient)
        before, after = ops.pow(a, -self.learning_rate_power), ops.pow(new, -self.learning_rate_power)
        pulled = gradient if not self.l2_shrinkage_regularization_strength else gradient + 2 * self.l2_shrinkage_regularization_strength * w
        z.assign_add(pulled - (after - before) / learning_rate * w)
        clipped = ops.clip(z, -l1, l1) if l1 else ops.as_tensor(0, variable.dtype)
        variable.assign((clipped - z) / (after / learning_rate + 2.0 * l2))
        a.assign(new)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learning_rate_power": self.learning_rate_power, "initial_accumulator_value": self.initial_accumulator_value,
                **{name: getattr(self, name) for name in self.strengths}, "beta": self.beta}


class Lion(Optimizer):
    """w -= rate sign(beta_1 m + (1 - beta_1) g), m = beta_2 m + (1 - beta_2) g (Chen et al. 2023)."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ArgumentError(f"beta_1 is a number greater than 0, 1 at most, not {beta_1}")
        self.beta_1, self.beta_2 = float(beta_1), checked_share("beta_2", beta_2)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        m = self.slot("momentum", variable)
        variable.assign_sub(learning_rate * ops.sign(m * self.beta_1 + gradient * (1.0 - self.beta_1)))
        m.assign(m * self.beta_2 + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}


__all__ = ["SGD", "Adadelta", "Adagrad", "Ftrl", "Lion", "RMSprop", "checked_share"]
