"""Arithmetic of probabilities on the vectors of simd.py: products, sums, exponentials, logarithms.

With the JIT off every function has a plain numpy twin of the same name.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import JIT_DISABLED
from .simd import _address, suffix

#: `vexp` is 0 below these, by the bytes of a lane: what lies there has no full precision.
EXP_LOWEST = {4: -87.0, 8: -708.0}


@intrinsic
def _vfma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        kinds = ir.FunctionType(kind, [kind] * 3)
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kinds, "llvm.fma." + suffix(kind)), arguments
        )

    return x(x, y, z), codegen


@intrinsic
def _vmul(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, signature, arguments: builder.fmul(*arguments)


@intrinsic
def _vdiv(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, signature, arguments: builder.fdiv(*arguments)


@intrinsic
def _vless(typing: Any, x: Any, y: Any, then: Any, otherwise: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments[:2]), *arguments[2:])

    return x(x, x, x, x), codegen


@intrinsic
def _vexp(typing: Any, x: Any) -> Any:
    """2^n · exp(r) with n = round(x / log 2) and |r| ≤ log 2 / 2, exp(r) by its Taylor series; n is read off the
    mantissa of a sum with a large number, so that no conversion to integers is needed."""
    single = x.lane == types.float32
    bits, mantissa, terms = (32, 23, 7) if single else (64, 52, 13)
    high, low = (0.693359375, -2.12194440e-4) if single else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    magic, lowest = 1.5 * 2.0**mantissa, EXP_LOWEST[bits // 8]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        whole = ir.VectorType(ir.IntType(bits), kind.count)
        kinds = ir.FunctionType(kind, [kind] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kinds, "llvm.fma." + suffix(kind))

        def number(value: float) -> Any:
            return ir.Constant(kind, [value] * kind.count)

        def integer(value: int) -> Any:
            return ir.Constant(whole, [value] * kind.count)

        fits = builder.fcmp_ordered(">=", arguments[0], number(lowest))
        x = builder.select(fits, arguments[0], number(0.0))
        shifted = builder.call(fma, [x, number(1 / np.log(2.0)), number(magic)])
        n = builder.fsub(shifted, number(magic))
        r = builder.call(fma, [n, number(-high), x])
        r = builder.call(fma, [n, number(-low), r])
        y = number(1.0 / factorial(terms))
        for k in range(terms - 1, -1, -1):
            y = builder.call(fma, [y, r, number(1.0 / factorial(k))])
        scale = builder.shl(builder.bitcast(shifted, whole), integer(mantissa))
        y = builder.bitcast(builder.add(builder.bitcast(y, whole), scale), kind)
        return builder.select(fits, y, number(0.0))

    return x(x), codegen


@intrinsic
def _vlog(typing: Any, x: Any) -> Any:
    """x = 2^n · m with √½ < m ≤ √2; log m = 2 artanh s, s = (m − 1) / (m + 1), by its series."""
    single = x.lane == types.float32
    bits, mantissa, terms = (32, 23, 5) if single else (64, 52, 11)
    bias, one = (127, 0x3F800000) if single else (1023, 0x3FF0000000000000)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        whole = ir.VectorType(ir.IntType(bits), kind.count)
        kinds = ir.FunctionType(kind, [kind] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kinds, "llvm.fma." + suffix(kind))

        def number(value: float) -> Any:
            return ir.Constant(kind, [value] * kind.count)

        def integer(value: int) -> Any:
            return ir.Constant(whole, [value] * kind.count)

        entry = builder.bitcast(arguments[0], whole)
        n = builder.sub(builder.lshr(entry, integer(mantissa)), integer(bias))
        m = builder.bitcast(builder.or_(builder.and_(entry, integer((1 << mantissa) - 1)), integer(one)), kind)
        high = builder.fcmp_ordered(">", m, number(np.sqrt(2.0)))
        m = builder.select(high, builder.fmul(m, number(0.5)), m)
        n = builder.select(high, builder.add(n, integer(1)), n)
        s = builder.fdiv(builder.fsub(m, number(1.0)), builder.fadd(m, number(1.0)))
        square = builder.fmul(s, s)
        y = number(2.0 / (2 * terms + 1))
        for k in range(terms - 1, -1, -1):
            y = builder.call(fma, [y, square, number(2.0 / (2 * k + 1))])
        y = builder.fmul(y, s)
        return builder.call(fma, [builder.sitofp(n, kind), number(np.log(2.0)), y])

    return x(x), codegen


@intrinsic
def _vhsum(typing: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = "llvm.vector.reduce.fadd." + suffix(kind)
        kinds = ir.FunctionType(kind.element, [kind.element, kind])
        function = cgutils.get_or_insert_function(builder.module, kinds, name)
        return builder.call(function, [ir.Constant(kind.element, 0.0), *arguments], fastmath=("reassoc",))

    return x.lane(x), codegen


@intrinsic
def _vadd_first(typing: Any, array: Any, index: Any, x: Any, count: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(32), arguments[2].type.count)
        number = builder.trunc(arguments[3], ir.IntType(32))
        one = builder.insert_element(ir.Constant(lanes, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        limit = builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), ir.Constant(lanes, [0] * lanes.count))
        inside = builder.icmp_signed("<", ir.Constant(lanes, list(range(lanes.count))), limit)
        kind = arguments[2].type
        where = _address(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        align = ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)
        name = suffix(kind) + ".p0" + suffix(kind)
        kinds = ir.FunctionType(kind, [kind.as_pointer(), align.type, inside.type, kind])
        load = cgutils.get_or_insert_function(builder.module, kinds, "llvm.masked.load." + name)
        kinds = ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), align.type, inside.type])
        store = cgutils.get_or_insert_function(builder.module, kinds, "llvm.masked.store." + name)
        before = builder.call(load, [where, align, inside, ir.Constant(kind, [0.0] * kind.count)])
        builder.call(store, [builder.fadd(before, arguments[2]), where, align, inside])

    return types.void(array, types.intp, x, types.int64), codegen


if JIT_DISABLED:

    def vfma(x: Any, y: Any, z: Any) -> Any:
        """x · y + z, lane by lane (rounded twice here, once when compiled: the same where x is 1)."""
        return x * y + z

    def vmul(x: Any, y: Any) -> Any:
        """Lane-wise product."""
        return x * y

    def vdiv(x: Any, y: Any) -> Any:
        """Lane-wise quotient; inf or NaN where y is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return x / y

    def vless(x: Any, y: Any, then: Any, otherwise: Any) -> Any:
        """`then` where x < y, else `otherwise`, lane by lane."""
        return np.where(x < y, then, otherwise)

    def vexp(x: Any) -> Any:
        """exp(x) for x ≤ 88 (float32) or 708, to 2 units in the last place; 0 below EXP_LOWEST."""
        return np.where(x >= EXP_LOWEST[x.itemsize], np.exp(np.minimum(x, 88)), 0).astype(x.dtype)

    def vlog(x: Any) -> Any:
        """log x of positive normal numbers, to 2 units in the last place of the larger of 1 and the result."""
        return np.log(np.maximum(x, np.finfo(x.dtype).tiny))

    def vhsum(x: Any) -> Any:
        """Sum over the lanes, added in pairs."""
        return x.sum()

    def vadd_first(array: Any, index: int, x: Any, count: int) -> None:
        """`array[index : index + count] += x[:count]`; touches nothing else and needs no slack; 0 ≤ count."""
        array[index : index + count] += x[:count]

else:
    vfma, vmul, vdiv, vless = _vfma, _vmul, _vdiv, _vless
    vexp, vlog, vhsum = _vexp, _vlog, _vhsum
    vadd_first = _vadd_first
