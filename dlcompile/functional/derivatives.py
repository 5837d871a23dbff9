"""Derivatives of Python functions, in the form that JAX has them."""
from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.functional import tree
from dlcompile.functional.jitting import Jitted
from dlcompile.functional.specs import EXPECTED, as_array, float_type, is_numbers
from dlcompile.functional.tracing import is_traced, label_of, leaves_of, places
from dlcompile.functional.tree import Structure
from dlcompile.graph import Graph, Tensor, is_float, make_input


def value_and_grad(fn: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the value of `fn`, a scalar, and its derivatives by the arguments at the positions `argnums`.

        >>> value_and_grad(lambda w, x: ((w * x) ** 2.0).sum())(np.float32([1, 2]), np.float32([3, 4]))
        (array(73., dtype=float32), array([18., 64.], dtype=float32))

    The derivatives are trees like the arguments: one for an int, a tuple of them for a sequence. has_aux: `fn` returns (value, anything
    else), and this function ((value, anything else), derivatives). It works on arrays, for which it is compiled as by `jit`, and on symbolic
    tensors inside a trace; so it may be nested.

    ShapeError for a value that is no scalar; DTypeError for one that is no float, or an argument that is none.
    """
    return _Derivative(fn, argnums, has_aux)


def grad(fn: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """As `value_and_grad`, for the derivatives alone, or (derivatives, what else `fn` returns).

        >>> grad(lambda x: x * x * x)(2.0), grad(grad(lambda x: x * x * x))(2.0)
        (array(12., dtype=float32), array(12., dtype=float32))
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(fn, updated=())
    def derivative(*args: Any, **kwargs: Any) -> Any:
        value, slopes = both(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return derivative


class _Derivative:
    """What `value_and_grad` returns."""

    def __init__(self, fn: Callable, argnums: int | Sequence[int], has_aux: bool):
        if not callable(fn):
            raise ArgumentError(f"grad takes a function, not {type(fn).__name__}")
        functools.update_wrapper(self, fn)
        self._function, self._label, self._has_aux = fn, label_of(fn), has_aux
        self._argnums = argnums if isinstance(argnums, int) else tuple(argnums)
        self._compiled = Jitted(self._in_trace, called=fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if is_traced(tree.flatten((args, kwargs), is_numbers)[0]):
            return self._in_trace(*args, **kwargs)
        return self._compiled(*args, **kwargs)

    def _in_trace(self, *args: Any, **kwargs: Any) -> Any:
        positions = self._positions(args)
        given, floats = list(args), float_type(tree.flatten((args, kwargs), is_numbers)[0])
        own: list[Tensor] = []
        counts, structures = [], []
        for i in positions:
            leaves, structure = tree.flatten(args[i], is_numbers)
            tensors = [self._variable(leaf, floats, args, i, k) for k, leaf in enumerate(leaves)]
            given[i] = tree.unflatten(structure, tensors)
            own += tensors
            counts.append(len(tensors))
            structures.append(structure)
        result = self._function(*given, **kwargs)
        if self._has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise ArgumentError(f"{self._label}: with has_aux it returns (scalar, anything else), not {type(result).__name__}")
        value, aux = result if self._has_aux else (result, None)
        value = self._scalar(value)
        slopes = iter(gradients(value, own))
        trees = [tree.unflatten(structure, [next(slopes) for _ in range(count)]) for structure, count in zip(structures, counts)]
        return (value, aux) if self._has_aux else value, trees[0] if isinstance(self._argnums, int) else tuple(trees)

    def _positions(self, args: tuple) -> list[int]:
        wanted = (self._argnums,) if isinstance(self._argnums, int) else self._argnums
        for i in wanted:
            if not -len(args) <= i < len(args):
                raise ArgumentError(f"{self._label}: a derivative by argument {i} of {len(args)} positional ones")
        return [i % len(args) for i in wanted]

    def _variable(self, leaf: Any, floats, args: tuple, position: int, index: int) -> Tensor:
        """A leaf of an argument, as a tensor that is no other's: what the function knows of it in another way is taken as given."""
        def place() -> str:
            return places(self._function, tree.flatten(tuple(args), is_numbers)[1])[
                sum(tree.flatten(a, is_numbers)[1].size for a in args[:position]) + index]

        if not isinstance(leaf, Tensor):
            try:
                leaf = ops.as_tensor(as_array(leaf, floats))
            except TypeError as error:
                raise ArgumentError(f"{self._label}: argument {place()}: {error}; expected {EXPECTED}") from None
        if not is_float(leaf.dtype):
            raise DTypeError(f"{self._label}: a derivative by {place()}, which is {leaf.type}; expected floats")
        return ops.alias(leaf)

    def _scalar(self, value: Any) -> Tensor:
        if isinstance(value, (tuple, list, dict)) or value is None:
            other = "" if self._has_aux else ", or has_aux=True and (scalar, anything else)"
            raise ShapeError(f"{self._label}: its derivative is wanted, and it returns {type(value).__name__}; expected one scalar{other}")
        try:
            value = value if isinstance(value, Tensor) else ops.as_tensor(as_array(value))
        except TypeError as error:
            raise ArgumentError(f"{self._label}: its result is {error}; expected a scalar") from None
        if value.shape != ():
            raise ShapeError(f"{self._label}: its derivative is wanted, and it returns {value.type}; expected a scalar")
        if not is_float(value.dtype):
            raise DTypeError(f"{self._label}: its derivative is wanted, and it returns {value.type}; expected a float")
        return value


def stop_gradient(value: Any) -> Any:
    """The tensors of a tree, taken as given by whoever differentiates; arrays and numbers stay as they are.

        >>> grad(lambda x: stop_gradient(x) * x)(3.0)
        array(3., dtype=float32)
    """
    return tree.map(lambda leaf: ops.stop_gradient(leaf) if isinstance(leaf, Tensor) else leaf, value)


class custom_vjp:
    """A function with a derivative of its own. As in JAX:

        >>> @custom_vjp
        ... def log1pexp(x):
        ...     return ops.log1p(ops.exp(x))
        >>> def forward(x):
        ...     return log1pexp(x), x
        >>> def backward(x, cotangent):
        ...     return (cotangent * ops.logistic(x),)
        >>> log1pexp.defvjp(forward, backward)
        >>> grad(log1pexp)(100.0)
        array(1., dtype=float32)

    forward(*args) → (what the function returns, residuals: any tree); backward(residuals, cotangents of the results) → a tuple with the
    cotangent of each argument, a tree like it; None, for an argument or a leaf, is for those that have no influence. With nondiff_argnums
    the arguments at these positions may be anything; backward is given them first, and returns nothing for them. What forward and backward
    know in another way than by their arguments is taken as given.
    """

    def __init__(self, fn: Callable, nondiff_argnums: int | Sequence[int] = ()):
        functools.update_wrapper(self, fn)
        self._function, self._label = fn, label_of(fn)
        self._fixed = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self._rules: tuple[Callable, Callable] | None = None
        self._inside = threading.local()
        self._compiled = Jitted(self._in_trace, static_argnums=self._fixed, called=fn)

    def defvjp(self, forward: Callable, backward: Callable) -> None:
        """State the derivative."""
        self._rules = forward, backward

    def __call__(self, *args: Any) -> Any:
        if getattr(self._inside, "depth", 0):  # forward calls the function itself
            return self._function(*args)
        if is_traced(tree.leaves(args)):
            return self._in_trace(*args)
        return self._compiled(*args)

    def _in_trace(self, *args: Any) -> Any:
        if self._rules is None:
            raise ArgumentError(f"{self._label}: a custom_vjp needs defvjp(forward, backward) before it is called")
        forward, backward = self._rules
        fixed = {i % len(args) for i in self._fixed}
        leaves, structure = tree.flatten(tuple(a for i, a in enumerate(args) if i not in fixed), is_numbers)
        floats = float_type(leaves)
        operands = [leaf if isinstance(leaf, Tensor) else ops.as_tensor(as_array(leaf, floats)) for leaf in leaves]
        moving = iter(tree.unflatten(structure, operands))
        given = [a if i in fixed else next(moving) for i, a in enumerate(args)]
        with self._plainly():
            results, out = self._tensors(self._function(*given), "the function returns")
            pair = forward(*given)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(f"{self._label}: forward returns {type(pair).__name__}; expected (results, residuals)")
        again, form = self._tensors(pair[0], "forward returns")
        if form != out or [t.type for t in again] != [t.type for t in results]:
            raise ArgumentError(f"{self._label}: forward's results are {_types(form, again)}; the function's are {_types(out, results)}")
        held, kept = tree.flatten(pair[1])
        residuals = [leaf for leaf in held if isinstance(leaf, Tensor)]
        inner = [make_input(f"residual_{i}", t.dtype, t.shape) for i, t in enumerate(residuals)]
        cotangents = [make_input(f"cotangent_{i}", t.dtype, t.shape) for i, t in enumerate(results)]
        formal = iter(inner)
        restored = tree.unflatten(kept, [next(formal) if isinstance(leaf, Tensor) else leaf for leaf in held])
        made = backward(*(a for i, a in enumerate(args) if i in fixed), restored, tree.unflatten(out, cotangents))
        slopes = self._slopes(made, structure, operands)
        around = [t for t in leaves_of(slopes) if t not in inner and t not in cotangents]
        graph = Graph(f"{self._label}_backward", [*inner, *around, *cotangents], slopes,
                      input_names=[f"input_{i}" for i in range(len(inner) + len(around) + len(cotangents))],
                      output_names=[f"output_{i}" for i in range(len(slopes))])
        return tree.unflatten(out, ops.custom_vjp(results, operands, [*residuals, *around], graph))

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Inside, calls of this function are calls of what it wraps."""
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            yield
        finally:
            self._inside.depth -= 1

    def _tensors(self, value: Any, what: str) -> tuple[list[Tensor], Structure]:
        leaves, structure = tree.flatten(value, is_numbers)
        try:
            return [ops.as_tensor(leaf) for leaf in leaves], structure
        except TypeError as error:
            raise ArgumentError(f"{self._label}: {what} something else than tensors: {error}") from None

    def _slopes(self, made: Any, structure: Structure, operands: Sequence[Tensor]) -> list[Tensor]:
        """The cotangents that backward returns, one for each operand."""
        count = len(structure.children)
        if not isinstance(made, tuple) or len(made) != count:
            found = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
            raise ArgumentError(f"{self._label}: backward returns {found}; expected a tuple with the cotangents of {count} arguments")
        slopes: list[Tensor] = []
        for position, (part, child) in enumerate(zip(made, structure.children)):
            own = operands[len(slopes):len(slopes) + child.size]
            leaves, form = tree.flatten(part, lambda node: node is None or is_numbers(node))
            if part is None:
                leaves = [None] * child.size
            elif form != child:
                raise ArgumentError(f"{self._label}: backward's cotangent of argument {position} is {form}; the argument is {child}")
            slopes += [self._slope(leaf, operand, position) for leaf, operand in zip(leaves, own)]
        return slopes

    def _slope(self, leaf: Any, operand: Tensor, position: int) -> Tensor:
        if leaf is None:
            return ops.full(operand.shape, 0, operand.dtype)
        slope = leaf if isinstance(leaf, Tensor) else ops.as_tensor(leaf, operand.dtype)
        if slope.type != operand.type:
            raise ArgumentError(f"{self._label}: backward's cotangent of argument {position} is {slope.type}; the argument is "
                                f"{operand.type}")
        return slope


def _types(structure: Structure, tensors: Sequence[Tensor]) -> str:
    return str(tree.unflatten(structure, [str(t.type) for t in tensors])).replace("'", "")
