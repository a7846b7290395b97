"""Explicit vectors of 64 bytes inside numba: sixteen float32 or eight float64.

Numba does not vectorise a min reduction by itself (neither `min`, `np.minimum` nor a conditional). A numba type
lowered to LLVM's `<16 x float>` or `<8 x double>` does; LLVM splits it on machines with narrower registers.
With the JIT off every function has a plain numpy twin of the same name.

Addresses are flat indices into one-dimensional arrays; nothing is bounds-checked, so every buffer that is read
in vectors ends in `SLACK` entries (see `buffer`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .jit import JIT_DISABLED

#: Bytes of a vector, and entries of slack that every buffer owes its vector readers.
VECTOR_BYTES = 64
SLACK = 64


def buffer(size: int, dtype: Any, fill: float = 0.0) -> np.ndarray:
    """One-dimensional array of `size` entries, aligned to 64 bytes, with `SLACK` finite entries after its end.

    The returned view shows `size` entries; the slack lies behind it in the same memory.
    """
    dtype = np.dtype(dtype)
    count = (size + SLACK) * dtype.itemsize
    raw = np.zeros(count + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    out = raw[start : start + count].view(dtype)[:size]
    if fill:
        out[:] = fill
    return out


def with_slack(array: np.ndarray) -> np.ndarray:
    """`array` itself if it is contiguous and its memory goes on for `SLACK` entries > −inf, else such a copy."""
    if array.flags.c_contiguous and array.flags.aligned:
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        tail = owner.__array_interface__["data"][0] + owner.nbytes - array.ctypes.data - array.nbytes
        if owner.flags.c_contiguous and tail >= SLACK * array.itemsize:
            slack = np.lib.stride_tricks.as_strided(array, (array.size + SLACK,), (array.itemsize,))
            if (slack[array.size :] > -np.inf).all():
                return array
    out = buffer(array.size, array.dtype)
    out[:] = array.ravel()
    return out


class Vector(types.Type):
    """The numba type of one vector of `count` lanes."""

    def __init__(self, lane: Any, count: int):
        self.lane = lane
        self.count = count
        super().__init__(name=f"Vector({lane},{count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        element = ir.FloatType() if kind.lane == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(element, kind.count))


def _lanes(dtype: Any) -> int:
    return 16 if dtype == types.float32 else 8


def suffix(vector: Any) -> str:
    return f"v{vector.count}" + ("f32" if isinstance(vector.element, ir.FloatType) else "f64")


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def _vload(typing: Any, array: Any, index: Any) -> Any:
    vector = Vector(array.dtype, _lanes(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = context.get_value_type(vector)
        where = _address(context, builder, signature.args[0], arguments[0], arguments[1], value)
        return builder.load(where, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), codegen


@intrinsic
def _vstore(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = _address(context, builder, signature.args[0], arguments[0], arguments[1], arguments[2].type)
        builder.store(arguments[2], where, align=array.dtype.bitwidth // 8)

    return types.void(array, types.intp, vector), codegen


@intrinsic
def _vsplat(typing: Any, value: Any) -> Any:
    vector = Vector(value, _lanes(value))

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(vector)
        undefined = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return builder.shuffle_vector(first, undefined, lanes)

    return vector(value), codegen


@intrinsic
def _vadd(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, signature, arguments: builder.fadd(*arguments)


@intrinsic
def _vmin(typing: Any, x: Any, y: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return x(x, y), codegen


@intrinsic
def _vhmin(typing: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = "llvm.vector.reduce.fmin." + suffix(kind)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind.element, [kind]), name)
        return builder.call(function, arguments, fastmath=("nnan", "nsz"))

    return x.lane(x), codegen


@intrinsic
def _vlane(typing: Any, x: Any, index: Any) -> Any:
    return x.lane(x, types.intp), lambda context, builder, signature, arguments: builder.extract_element(*arguments)


@intrinsic
def _vequal(typing: Any, x: Any, y: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.fcmp_ordered("==", *arguments)
        return builder.zext(builder.bitcast(bits, ir.IntType(arguments[0].type.count)), ir.IntType(64))

    return types.int64(x, y), codegen


@intrinsic
def _trailing_zeros(typing: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@intrinsic
def _lanes_of(typing: Any, array: Any) -> Any:
    count = _lanes(array.dtype)
    return types.int64(array), lambda context, builder, signature, arguments: ir.Constant(ir.IntType(64), count)


@intrinsic
def _get(typing: Any, array: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        where = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kinds = ir.FunctionType(ir.VoidType(), [where.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kinds, "llvm.prefetch.p0")
        builder.call(function, [where, *(ir.Constant(number, value) for value in (0, 3, 1))])

    return types.void(array, types.intp), codegen


def _plain(array: Any) -> int:
    return VECTOR_BYTES // array.itemsize


if JIT_DISABLED:

    def vload(array: Any, index: int) -> Any:
        """Lanes `array[index : index + W]`; past the end, where the slack lies, they are 0."""
        lanes = np.zeros(_plain(array), array.dtype)
        inside = array[index : index + lanes.size]
        lanes[: inside.size] = inside
        return lanes

    def vstore(array: Any, index: int, vector: Any) -> None:
        """`array[index : index + W] = vector`."""
        inside = array[index : index + _plain(array)]
        inside[:] = vector[: inside.size]

    def vsplat(value: Any) -> Any:
        """All lanes equal `value`."""
        return np.full(VECTOR_BYTES // value.itemsize, value)

    def vadd(x: Any, y: Any) -> Any:
        """Lane-wise sum."""
        return x + y

    def vmin(x: Any, y: Any) -> Any:
        """Lane-wise minimum; no lane is NaN."""
        return np.where(x < y, x, y)

    def vhmin(x: Any) -> Any:
        """Minimum over the lanes."""
        return x.min()

    def vlane(x: Any, index: int) -> Any:
        """One lane."""
        return x[index]

    def vequal(x: Any, y: Any) -> int:
        """Bit i is set where lane i of x equals lane i of y."""
        return int(sum(1 << i for i, same in enumerate(x == y) if same))

    def trailing_zeros(bits: int) -> int:
        """Index of the lowest set bit; bits != 0."""
        return (int(bits) & -int(bits)).bit_length() - 1

    def lanes(array: Any) -> int:
        """Entries of a vector, a constant where this is compiled (64 // array.itemsize is a division each time)."""
        return _plain(array)

    def prefetch(array: Any, index: int) -> None:
        """Ask for the cache line of `array[index]`, which may lie outside."""

    def get(array: Any, index: int) -> Any:
        """`array[index]` without the wraparound check."""
        return array[index]

else:
    vload, vstore, vsplat, vadd, vmin = _vload, _vstore, _vsplat, _vadd, _vmin
    vhmin, vequal, trailing_zeros = _vhmin, _vequal, _trailing_zeros
    vlane, lanes, get, prefetch = _vlane, _lanes_of, _get, _prefetch
