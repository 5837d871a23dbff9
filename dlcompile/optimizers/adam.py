"""Adam and its relatives: running means of gradients and of their squares."""
from __future__ import annotations

from typing import Any

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.optimizers.base import Optimizer
from dlcompile.optimizers.descent import checked_share
from dlcompile.variables import Variable


class _Moments(Optimizer):
    """What has beta_1, beta_2 and epsilon."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = checked_share("beta_1", beta_1), checked_share("beta_2", beta_2), epsilon

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def moments(self, gradient: Tensor, variable: Variable) -> tuple[Tensor, Tensor]:
        """m += (1 - beta_1)(g - m) and v += (1 - beta_2)(g² - v), assigned."""
        m, v = self.slot("momentum", variable), self.slot("velocity", variable)
        m.assign_add((gradient - m) * (1 - self.beta_1))
        v.assign_add((ops.square(gradient) - v) * (1 - self.beta_2))
        return m.value, v.value

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Adam(_Moments):
    """m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g², w -= a m / (√v + epsilon) with a = rate √(1 - beta_2**t) / (1 - beta_1**t)
    in step t (Kingma & Ba 2014, the form before section 2.1); where `amsgrad` with the largest v so far (Reddi et al. 2018)."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
                 weight_decay: float | None = None, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, **kwargs)
        self.amsgrad = bool(amsgrad)

    def slots(self) -> dict[str, float]:
        return {**super().slots(), **({"velocity_hat": 0.0} if self.amsgrad else {})}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        dtype = variable.dtype
        alpha = learning_rate * ops.sqrt(1.0 - self.power(self.beta_2, dtype)) / (1.0 - self.power(self.beta_1, dtype))
        m, v = self.moments(gradient, variable)
        if self.amsgrad:
            largest = self.slot("velocity_hat", variable)
            largest.assign(ops.maximum(largest, v))
            v = largest.value
        variable.assign_sub(m * alpha / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amsgrad": self.amsgrad}


class AdamW(Adam):
    """`Adam` with weights that decay (Loshchilov & Hutter 2019)."""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 amsgrad: bool = False, **kwargs):
        if weight_decay is None:
            raise ArgumentError("AdamW is Adam with a weight_decay, which is a number, not None")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **kwargs)


class Adamax(_Moments):
    """m = beta_1 m + (1 - beta_1) g, u = max(beta_2 u, |g|), w -= rate m / ((1 - beta_1**t)(u + epsilon)) (Kingma & Ba 2014, section 7)."""

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        m, u = self.slot("momentum", variable), self.slot("norm", variable)
        m.assign_add((gradient - m) * (1 - self.beta_1))
        u.assign(ops.maximum(self.beta_2 * u, ops.abs(gradient)))
        variable.assign_sub(learning_rate * m / ((1.0 - self.power(self.beta_1, variable.dtype)) * (u + self.epsilon)))


class Nadam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016): with u(t) = beta_1 (1 - 0.96**t / 2) and U(t) = u(1) … u(t),
    w -= rate (u(t+1) m / (1 - U(t+1)) + (1 - u(t)) g / (1 - U(t))) / (√(v / (1 - beta_2**t)) + epsilon)."""

    decay = 0.96

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            self._product = self.add_variable((), "ones", name="u_product")

    def begin_step(self, learning_rate: Any) -> None:
        self._product.assign(self._product * self.beta_1 * (1.0 - 0.5 * self.power(self.decay, self._product.dtype)))

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        dtype = variable.dtype
        now = self.power(self.decay, dtype)
        u, u_next = self.beta_1 * (1.0 - 0.5 * now), self.beta_1 * (1.0 - 0.5 * (now * self.decay))
        product = ops.cast(ops.as_tensor(self._product), dtype)
        m, v = self.moments(gradient, variable)
        m_hat = u_next * m / (1.0 - product * u_next) + (1.0 - u) * gradient / (1.0 - product)
        v_hat = v / (1.0 - self.power(self.beta_2, dtype))
        variable.assign_sub(m_hat * learning_rate / (ops.sqrt(v_hat) + self.epsilon))


__all__ = ["Adam", "AdamW", "Adamax", "Nadam"]
