"""C text of index arithmetic and scalar expressions."""
from __future__ import annotations

import math

import numpy as np

from dlcompile.graph import DTYPES, Dim, DimLike, at_least, integer_range, is_float, is_integer, is_narrow, is_string
from dlcompile.graph.dim import Operation, Symbol
from dlcompile.kernels.ir import Apply, Expression, Index, Load, Local, Number

SUM, PRODUCT, UNARY, ATOM = 1, 2, 3, 4  # how tightly a text binds; also the comparisons and ?: below
COMPARE, AND, CHOICE = 0.5, 0.25, 0.1


def c_dim(dim: DimLike, binding: float = 0) -> str:
    """An index expression as C, of type int64_t; in parentheses where it binds less tightly than `binding`."""
    if not isinstance(dim, Dim):
        text = f"INT64_C({dim})" if abs(dim) > 2**31 - 1 else str(dim)
        return f"({text})" if dim < 0 and binding > SUM else text
    terms = sorted(dim.terms.items(), key=lambda t: t[1] < 0)  # something positive first: no leading minus
    text = ""
    for monomial, coefficient in terms:
        factors = [_c_atom(atom, PRODUCT if len(monomial) > 1 or coefficient != 1 or len(terms) > 1 else binding) for atom in monomial]
        if abs(coefficient) != 1 or not factors:
            factors.append(c_dim(abs(coefficient)))
        product = " * ".join(factors)
        text += (" - " if coefficient < 0 else " + ") + product if text else ("-" if coefficient < 0 else "") + product
    if len(terms) == 1:
        ((monomial, coefficient),) = terms
        alone = coefficient == 1 and len(monomial) == 1  # an atom parenthesizes itself
        return f"({text})" if not alone and binding > PRODUCT else text
    return f"({text})" if binding > SUM else text


def _c_atom(atom: Symbol | Operation, binding: float) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    left, right = atom.left, atom.right
    if atom.name in ("max", "min"):
        return f"dlc_{atom.name}({c_dim(left)}, {c_dim(right)})"
    if at_least(left, 0) and at_least(right, 1):
        text = f"{c_dim(left, PRODUCT)} {'/' if atom.name == 'floordiv' else '%'} {c_dim(right, UNARY)}"
        return f"({text})" if binding >= PRODUCT else text
    quotient, remainder = ("quotient", "remainder") if at_least(left, 0) and at_least(right, 0) else ("floordiv", "floormod")
    return f"dlc_{quotient if atom.name == 'floordiv' else remainder}({c_dim(left)}, {c_dim(right)})"


def c_number(value, dtype: np.dtype) -> str:
    """A literal of the type that `dtype` is computed in; of text there is only the one without characters."""
    if is_string(dtype):
        return '(dlc_string){"", 0}'
    if is_float(dtype):
        value = float(value)
        suffix = "" if DTYPES[dtype].c_compute == "double" else "f"
        if math.isnan(value):
            return "NAN" if suffix else "(double)NAN"
        if math.isinf(value):
            text = "INFINITY" if suffix else "(double)INFINITY"
            return text if value > 0 else f"-{text}"
        rounded = np.float32(value) if suffix else value
        text = str(rounded) if suffix else repr(value)
        return (text if any(c in text for c in ".en") else text + ".0") + suffix
    if dtype == np.bool_:
        return "1" if value else "0"
    if dtype.kind == "c":
        part = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
        return f"__builtin_complex({c_number(value.real, part)}, {c_number(value.imag, part)})"
    if dtype.kind == "u":
        return f"UINT64_C({int(value)})" if dtype.itemsize == 8 else f"{int(value)}u"
    if value == np.iinfo(np.int64).min:
        return "INT64_MIN"
    return f"INT64_C({int(value)})" if abs(int(value)) > 2**31 - 1 else str(int(value))


# -- scalar operators -------------------------------------------------------------------------------------------------------
INFIX_FLOAT = {"add": ("+", SUM), "sub": ("-", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT)}
INFIX_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
INFIX_BITS = {"and": "&", "or": "|", "xor": "^"}


def c_expression(expression: Expression, binding: float = 0) -> str:
    """A scalar expression as C, in the type its dtype is computed in."""
    match expression:
        case Number(value, dtype):
            text = c_number(value, dtype)
            return f"({text})" if text.startswith("-") and binding >= UNARY else text
        case Index(value, dtype):
            return c_dim(value, binding) if dtype == np.int64 else f"({DTYPES[dtype].c_compute})({c_dim(value)})"
        case Local(name):
            return name
        case Load(buffer, index, dtype):
            text = f"{buffer}[{c_dim(index)}]"
            return _c_loaded(text, dtype)
        case Apply():
            return _c_apply(expression, binding)
    raise TypeError(f"not an expression: {expression!r}")


def _c_loaded(text: str, dtype: np.dtype) -> str:
    """What an element as it is stored stands for."""
    row = DTYPES[dtype]
    if row.is_converted:
        return f"dlc_{row.suffix}_to_f32({text})"
    return f"dlc_to_{row.suffix}({text})" if row.header and row.c_storage != row.c_compute else text


def _c_bits(argument: Expression, dtype: np.dtype) -> str:
    """The bits of a value as a value of another type of the same size."""
    source, target = DTYPES[argument.dtype], DTYPES[dtype]
    stored = f"{argument.buffer}[{c_dim(argument.index)}]" if isinstance(argument, Load) else c_stored(argument, argument.dtype)
    return _c_loaded(f"((union {{{source.c_storage} from; {target.c_storage} to;}}){{.from = {stored}}}).to", dtype)


def _c_apply(expression: Apply, binding: float) -> str:
    op, arguments, dtype = expression.op, expression.arguments, expression.dtype
    operand = arguments[0].dtype
    if op == "select":
        condition, chosen, other = arguments
        return _wrap(f"{c_expression(condition, AND)} ? {c_expression(chosen, AND)} : {c_expression(other, CHOICE)}", CHOICE, binding)
    if op in INFIX_COMPARE and not is_string(operand):
        return _wrap(f"{c_expression(arguments[0], SUM)} {INFIX_COMPARE[op]} {c_expression(arguments[1], SUM)}", COMPARE, binding)
    if op == "string_concat" or op == "cast" and is_string(operand) != is_string(dtype):  # what makes strings needs the thread's pool
        return _c_text(expression)
    if op == "cast":
        return _c_cast(arguments[0], dtype, binding)
    if op == "bitcast":
        return _c_bits(arguments[0], dtype)
    if op == "not":
        return f"!{c_expression(arguments[0], ATOM)}" if operand == np.bool_ else f"({DTYPES[dtype].c_compute})~{c_expression(arguments[0], ATOM)}"
    if op in INFIX_BITS:
        left, right = (c_expression(a, ATOM) for a in arguments)
        return _wrap(f"{left} {INFIX_BITS[op]} {right}", AND, binding)
    if is_float(dtype) and is_float(operand) or dtype.kind == operand.kind == "c":
        if op in INFIX_FLOAT:
            sign, level = INFIX_FLOAT[op]
            return _wrap(f"{c_expression(arguments[0], level)} {sign} {c_expression(arguments[1], level + 0.5)}", level, binding)
        if op == "neg":
            return _wrap(f"-{c_expression(arguments[0], UNARY)}", UNARY, binding)
    return f"dlc_{op}_{DTYPES[operand].compute_suffix}({', '.join(c_expression(a) for a in arguments)})"


def _c_text(expression: Apply) -> str:
    """Strings put together, and numbers from and to strings, which are written and read as the widest of their kind."""
    if expression.op == "string_concat":
        return f"dlc_string_concat_str(team, {', '.join(c_expression(a) for a in expression.arguments)})"
    (argument,), to_text = expression.arguments, is_string(expression.dtype)
    number = argument.dtype if to_text else expression.dtype
    if number == np.bool_ or is_float(number):
        widest = DTYPES[number].compute_suffix if to_text or number == np.bool_ else "f64"
    else:
        widest = "u64" if integer_range(number)[0] == 0 else "i64"
    if to_text:
        return f"dlc_cast_{widest}_str(team, {c_expression(argument)})"
    text = f"dlc_cast_str_{widest}(team, {c_expression(argument)})"
    if number == np.bool_:
        return text
    return c_expression(Apply("cast", (Local(text, DTYPES_OF_SUFFIX[widest]),), number), UNARY)


DTYPES_OF_SUFFIX = {"f64": np.dtype(np.float64), "i64": np.dtype(np.int64), "u64": np.dtype(np.uint64)}


def _c_cast(argument: Expression, dtype: np.dtype, binding: float) -> str:
    source, target = DTYPES[argument.dtype], DTYPES[dtype]
    if dtype == np.bool_:
        return _wrap(f"{c_expression(argument, SUM)} != 0", COMPARE, binding)
    if is_narrow(dtype) and is_integer(dtype):  # the low bits of an integer
        if source.suffix == target.suffix:
            return c_expression(argument, binding)
        wide = c_expression(argument)
        return f"dlc_to_{target.suffix}({f'dlc_cast_{source.compute_suffix}_i32({wide})' if is_float(argument.dtype) else wide})"
    if is_float(argument.dtype) and not is_float(dtype) and dtype.kind != "c":
        return f"dlc_cast_{source.compute_suffix}_{target.suffix}({c_expression(argument)})"
    if target.is_converted and source.suffix != target.suffix:  # the rounding of the narrow type is meant
        if target.header == "dlc_half.h" and source.compute_suffix == "f32":
            return f"dlc_round_{target.suffix}({c_expression(argument)})"
        return f"dlc_{target.suffix}_to_f32({_c_narrowed(argument, target.suffix)})"
    if source.c_compute == target.c_compute:
        return c_expression(argument, binding)
    return _wrap(f"({target.c_compute}){c_expression(argument, UNARY)}", UNARY, binding)


def _wrap(text: str, level: float, binding: float) -> str:
    return f"({text})" if level < binding or (level == binding == CHOICE) else text


def c_stored(expression: Expression, dtype: np.dtype) -> str:
    """An expression as it is stored in an array of the type."""
    row = DTYPES[dtype]
    if not row.header or row.c_storage == row.c_compute:
        return c_expression(expression)
    expression = _unconverted(expression)
    if expression.dtype == dtype and isinstance(expression, Load):  # only moved: the same bits
        return f"{expression.buffer}[{c_dim(expression.index)}]"
    if row.is_converted:
        rounds = isinstance(expression, Apply) and expression.op == "cast" and expression.arguments[0].dtype != dtype \
            and not is_string(expression.arguments[0].dtype)
        return _c_narrowed(expression.arguments[0] if rounds else expression, row.suffix)
    return f"dlc_from_{row.suffix}({c_expression(expression)})"


def _unconverted(expression: Expression) -> Expression:
    """cast(cast(x, float32), the type of x) → x."""
    while isinstance(expression, Apply) and expression.op == "cast":
        (inner,) = expression.arguments
        if not (DTYPES[expression.dtype].is_converted and isinstance(inner, Apply) and inner.op == "cast" and inner.dtype == np.float32
                and inner.arguments[0].dtype == expression.dtype):
            break
        expression = inner.arguments[0]
    return expression


def _c_narrowed(expression: Expression, suffix: str) -> str:
    """The bits of a number in a type that is computed in float32. (Doubles get there by way of float, as in ml_dtypes, but for NumPy's
    own float16.)"""
    wide = "f64" if suffix == "f16" and expression.dtype == np.float64 else "f32"
    return f"dlc_{wide}_to_{suffix}({c_expression(expression)})"
