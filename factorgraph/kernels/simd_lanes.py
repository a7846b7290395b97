"""What one chain to a lane needs beside simd.py: transposition, tables looked up lane by lane, sums in float64.

Labels are kept in lanes of the energies' dtype, so that they are chosen by the comparisons that choose energies.
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
from .simd import Vector, _address, _lanes, _plain


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


@intrinsic
def _transpose(typing: Any, source: Any, begin: Any, shift: Any, out: Any, at: Any) -> Any:
    """log2 W rounds, in each of which blocks of half the size change places, in registers."""
    count, align = _lanes(source.dtype), source.dtype.bitwidth // 8

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, begins, offset, into, to = arguments
        kind = context.get_value_type(Vector(source.dtype, count))
        size = context.make_array(source)(context, builder, values).nitems
        first = context.make_array(begin)(context, builder, begins).data
        rows = []
        for lane in range(count):
            index = builder.add(builder.load(builder.gep(first, [ir.Constant(ir.IntType(64), lane)])), offset)
            index = builder.select(builder.icmp_signed("<", index, size), index, size)
            rows.append(builder.load(_address(context, builder, source, values, index, kind), align=align))
        half = count // 2
        while half:
            upper = [lane - half + count if lane & half else lane for lane in range(count)]
            lower = [lane + count if lane & half else lane + half for lane in range(count)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), mask) for mask in (upper, lower)]
            for row in range(count):
                if not row & half:
                    pair = rows[row], rows[row + half]
                    rows[row], rows[row + half] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            half //= 2
        for row in range(count):
            index = builder.add(to, ir.Constant(ir.IntType(64), row * count))
            builder.store(rows[row], _address(context, builder, out, into, index, kind), align=align)

    return types.void(source, begin, types.intp, out, types.intp), codegen


@intrinsic
def _look_up(typing: Any, array: Any, index: Any, step: Any, label: Any) -> Any:
    """One permutation of the lanes of both vectors where the processor has it, else entry by entry."""
    align = array.dtype.bitwidth // 8

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, at, to, labels = arguments
        kind = labels.type
        places = builder.fptosi(labels, ir.VectorType(ir.IntType(8 * align), kind.count))
        if "+avx512f" in context.codegen().magic_tuple()[2].split(","):
            rows = [
                builder.load(_address(context, builder, array, values, start, kind), align=align)
                for start in (at, builder.add(at, to))
            ]
            name = "llvm.x86.avx512.vpermi2var." + ("ps" if align == 4 else "pd") + ".512"
            kinds = ir.FunctionType(kind, [kind, places.type, kind])
            permute = cgutils.get_or_insert_function(builder.module, kinds, name)
            return builder.call(permute, [rows[0], places, rows[1]])
        data = context.make_array(array)(context, builder, values).data
        found = ir.Constant(kind, ir.Undefined)
        beyond = builder.sub(to, ir.Constant(to.type, kind.count))
        for lane in range(kind.count):
            place = _number(lane)
            offset = builder.sext(builder.extract_element(places, place), to.type)
            second = builder.icmp_signed(">=", offset, ir.Constant(to.type, kind.count))
            offset = builder.add(offset, builder.select(second, beyond, ir.Constant(to.type, 0)))
            entry = builder.load(builder.gep(data, [builder.add(at, offset)]))
            found = builder.insert_element(found, entry, place)
        return found

    return label(array, types.intp, types.intp, label), codegen


@intrinsic
def _store_labels(typing: Any, array: Any, index: Any, label: Any, count: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(32), arguments[2].type.count)
        where = _address(context, builder, array, arguments[0], arguments[1], kind)
        most = ir.Constant(ir.IntType(64), kind.count)
        few = builder.select(builder.icmp_signed("<", arguments[3], most), arguments[3], most)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), builder.trunc(few, kind.element), _number(0))
        limit = builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * kind.count))
        inside = builder.icmp_signed("<", ir.Constant(kind, list(range(kind.count))), limit)
        name = f"llvm.masked.store.v{kind.count}i32.p0v{kind.count}i32"
        kinds = ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), ir.IntType(32), inside.type])
        store = cgutils.get_or_insert_function(builder.module, kinds, name)
        builder.call(store, [builder.fptosi(arguments[2], kind), where, _number(4), inside])

    return types.void(array, types.intp, label, types.int64), codegen


@intrinsic
def _accumulate(typing: Any, array: Any, index: Any, x: Any, y: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.DoubleType(), arguments[2].type.count)
        wide = [z if z.type == kind else builder.fpext(z, kind) for z in arguments[2:]]
        where = _address(context, builder, array, arguments[0], arguments[1], kind)
        builder.store(builder.fadd(builder.load(where, align=8), builder.fadd(*wide)), where, align=8)

    return types.void(array, types.intp, x, x), codegen


if JIT_DISABLED:

    def transpose(source: Any, begin: Any, shift: int, out: Any, at: int) -> None:
        """`out[at + i·W + w] = source[begin[w] + shift + i]` for i, w < W; begins past its end are its end."""
        width = _plain(source)
        rows = np.zeros((width, width), source.dtype)
        for lane in range(width):
            row = source[min(begin[lane] + shift, source.size) :][:width]
            rows[: row.size, lane] = row
        out[at : at + width * width] = rows.ravel()

    def look_up(array: Any, index: int, step: int, label: Any) -> Any:
        """Lane w: entry label[w] of a row of two vectors, which lie `step` apart from array[index] on."""
        places = label.astype(np.int64)
        return array[index + places // label.size * step + places % label.size]

    def store_labels(array: Any, index: int, label: Any, count: int) -> None:
        """`array[index : index + count] = label[:count]`, int32; touches nothing else; any count is cut to 0 … W."""
        count = max(0, min(count, label.size))
        array[index : index + count] = label[:count]

    def accumulate(array: Any, index: int, x: Any, y: Any) -> None:
        """`array[index : index + W] += x + y`, all in float64."""
        array[index : index + x.size] += x.astype(np.float64) + y

else:
    transpose, look_up, store_labels, accumulate = _transpose, _look_up, _store_labels, _accumulate
