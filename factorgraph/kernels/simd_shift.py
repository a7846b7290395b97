"""More of the vectors of simd.py: differences, shifts by one lane, stores of the first lanes, lanes widened to float64.

With the JIT off every function has a plain numpy twin of the same name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import JIT_DISABLED
from .simd import Vector, _address, suffix


@intrinsic
def _vsub(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, signature, arguments: builder.fsub(*arguments)


@intrinsic
def _vabs(typing: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind]), "llvm.fabs." + suffix(kind)
        )
        return builder.call(function, arguments)

    return x(x), codegen


def _order(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


@intrinsic
def _vshift_up(typing: Any, x: Any, first: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        zero = ir.Constant(ir.IntType(32), 0)
        other = builder.insert_element(ir.Constant(kind, ir.Undefined), arguments[1], zero)
        return builder.shuffle_vector(other, arguments[0], _order([0, *range(kind.count, 2 * kind.count - 1)]))

    return x(x, x.lane), codegen


@intrinsic
def _vshift_down(typing: Any, x: Any, last: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = arguments[0].type.count
        return builder.shuffle_vector(*arguments, _order([*range(1, count), 2 * count - 1]))

    return x(x, x), codegen


@intrinsic
def _vwide(typing: Any, array: Any, index: Any) -> Any:
    vector = Vector(types.float64, 8)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = array.dtype == types.float32
        kind = ir.VectorType(ir.FloatType() if single else ir.DoubleType(), 8)
        where = _address(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        value = builder.load(where, align=array.dtype.bitwidth // 8)
        return builder.fpext(value, ir.VectorType(ir.DoubleType(), 8)) if single else value

    return vector(array, types.intp), codegen


@intrinsic
def _vstore_first(typing: Any, array: Any, index: Any, x: Any, count: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[2].type
        lanes = ir.VectorType(ir.IntType(32), kind.count)
        number = builder.trunc(arguments[3], ir.IntType(32))
        one = builder.insert_element(ir.Constant(lanes, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        limit = builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), _order([0] * kind.count))
        inside = builder.icmp_signed("<", ir.Constant(lanes, list(range(kind.count))), limit)
        where = _address(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        align = ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)
        kinds = ir.FunctionType(ir.VoidType(), [kind, where.type, align.type, inside.type])
        name = f"llvm.masked.store.{suffix(kind)}.p0{suffix(kind)}"
        builder.call(cgutils.get_or_insert_function(builder.module, kinds, name), [arguments[2], where, align, inside])

    return types.void(array, types.intp, x, types.int64), codegen


if JIT_DISABLED:

    def vsub(x: Any, y: Any) -> Any:
        """Lane-wise difference."""
        return x - y

    def vabs(x: Any) -> Any:
        """Lane-wise magnitude."""
        return np.abs(x)

    def vshift_up(x: Any, first: Any) -> Any:
        """Lane i is lane i − 1 of x; lane 0 is `first`."""
        return np.concatenate([[x.dtype.type(first)], x[:-1]])

    def vshift_down(x: Any, last: Any) -> Any:
        """Lane i is lane i + 1 of x; the last one is the last of `last`."""
        return np.concatenate([x[1:], last[-1:]])

    def vstore_first(array: Any, index: int, x: Any, count: int) -> None:
        """`array[index : index + count] = x[:count]` for the lanes that there are; touches nothing else."""
        inside = array[index : index + min(count, x.size)]
        inside[:] = x[: inside.size]

    def vwide(array: Any, index: int) -> Any:
        """`array[index : index + 8]` as float64; past the end, where the slack lies, 0."""
        wide = np.zeros(8)
        inside = array[index : index + 8]
        wide[: inside.size] = inside
        return wide

else:
    vsub, vabs, vshift_up, vshift_down = _vsub, _vabs, _vshift_up, _vshift_down
    vwide, vstore_first = _vwide, _vstore_first
