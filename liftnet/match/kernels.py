"""Exact squared distances between byte descriptors, with the processor's integer dot products.

A matrix product in single precision multiplies 8 or 16 numbers an instruction; the integer dot products that x86
processors have for neural networks (VNNI) multiply 32 or 64 bytes, and are exact. LLVM does not find them by itself,
so the innermost loop is written in its intermediate representation: a block of a few rows by a few vectors of columns
is kept in registers while the descriptors run through it.

With bytes a and b, and a' = a - 128 in a signed byte as VNNI wants it,

    -|a - b|^2 = 2 a'.b + (256 sum(b) - |b|^2) - |a|^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

from liftnet.core.types import UInt8Array

Int32Array = npt.NDArray[np.int32]

WIDTH = 128  # of a descriptor, shorter ones are padded with zeros
COLUMNS_AT_ONCE = 64  # columns are padded to a multiple of it
FAR = -(2**30)  # in the place of a distance to padding: below minus any real distance
_I32, _I64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Kernel:
    """How the innermost loop is built for a kind of processor.

    Attributes:
        feature: The processor's feature that it needs, as LLVM names it.
        rows: Rows of the block in registers.
        vectors: Vectors of columns of the block.
        lanes: 32-bit numbers in a vector.
        bytes_at_once: Descriptor numbers multiplied in each lane: 4 bytes, or 2 of 16 bits.
    """

    feature: str
    rows: int
    vectors: int
    lanes: int
    bytes_at_once: int

    @property
    def columns(self) -> int:
        """Columns of the block."""
        return self.vectors * self.lanes

    @property
    def steps(self) -> int:
        """Steps of the innermost loop."""
        return WIDTH // self.bytes_at_once


KERNELS = (
    Kernel("avx512vnni", rows=6, vectors=4, lanes=16, bytes_at_once=4),
    Kernel("avxvnni", rows=6, vectors=2, lanes=8, bytes_at_once=4),
    Kernel("avx2", rows=6, vectors=2, lanes=8, bytes_at_once=2),
)
"""From the fastest to the most common."""


def usable_kernels() -> list[Kernel]:
    """The kernels that this processor can run, the fastest first; none where numba was told to compile for another."""
    compiled_for: Any = config  # its variables are set when it is loaded, unseen by a type checker
    if compiled_for.CPU_NAME is not None or compiled_for.CPU_FEATURES is not None:
        return []
    features = llvm.get_host_cpu_features()
    return [kernel for kernel in KERNELS if features.get(kernel.feature)]


def pack_rows(descriptors: UInt8Array, kernel: Kernel) -> tuple[Int32Array, Int32Array]:
    """Descriptors in the order in which the innermost loop reads rows.

    Args:
        descriptors: (N, D) uint8, D at most WIDTH.
        kernel: Who will read them.

    Returns:
        (N', steps) int32, a few numbers in each, N' a multiple of the kernel's rows; and (N',) squared norms.
    """
    n, width = descriptors.shape
    signed = kernel.bytes_at_once == 4
    packed = np.zeros((_padded(n, kernel.rows), WIDTH), np.uint8 if signed else np.int16)
    packed[:n, :width] = descriptors
    if signed:
        packed ^= 0x80  # minus 128, read as a signed byte
    norms = np.zeros(len(packed), np.int32)
    norms[:n] = _squared_norms(descriptors)
    return packed.view(np.int32), norms


def pack_columns(descriptors: UInt8Array, kernel: Kernel) -> tuple[Int32Array, Int32Array]:
    """Descriptors in the order in which the innermost loop reads columns.

    Args:
        descriptors: (M, D) uint8, D at most WIDTH.
        kernel: Who will read them.

    Returns:
        (P, steps, columns) int32, P * columns a multiple of COLUMNS_AT_ONCE; and (P * columns,) what is added to twice
        the product for minus the squared distance, but for the norm of the row; FAR for padding.
    """
    m, width = descriptors.shape
    signed = kernel.bytes_at_once == 4
    packed = np.zeros((_padded(m, COLUMNS_AT_ONCE), WIDTH), np.uint8 if signed else np.int16)
    packed[:m, :width] = descriptors
    offsets = np.full(len(packed), FAR, np.int32)
    offsets[:m] = -_squared_norms(descriptors)
    if signed:
        offsets[:m] += 256 * descriptors.sum(axis=1, dtype=np.int32)
    panels = packed.view(np.int32).reshape(-1, kernel.columns, kernel.steps)
    return np.ascontiguousarray(panels.transpose(0, 2, 1)), offsets


def _squared_norms(descriptors: UInt8Array) -> Int32Array:
    values = descriptors.astype(np.int32)
    return np.einsum("ij,ij->i", values, values)


def _padded(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


@cache
def compile_distances(kernel: Kernel) -> Callable[..., None]:
    """The compiled function that fills a tile with minus the squared distances.

    It takes rows, row norms, columns and column offsets as packed, the first row, the number of rows (both multiples
    of the kernel's) and the tile, int32 of at least that many rows and as many columns as there are offsets.
    """
    block = _block(kernel)
    height, width, steps = kernel.rows, kernel.columns, kernel.steps

    @numba.njit(nogil=True, error_model="numpy")
    def distances(rows, norms, panels, offsets, start, count, tile):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        pitch = np.int64(tile.shape[1])
        for panel in range(panels.shape[0]):
            columns = panels.ctypes.data + np.int64(panel) * steps * width * 4
            added = offsets.ctypes.data + np.int64(panel) * width * 4
            for row in range(0, count, height):
                block(
                    rows.ctypes.data + np.int64(start + row) * steps * 4,
                    norms.ctypes.data + np.int64(start + row) * 4,
                    columns,
                    added,
                    tile.ctypes.data + (np.int64(row) * pitch + panel * width) * 4,
                    pitch,
                )

    compiled: Callable[..., None] = distances
    return compiled


def _block(kernel: Kernel) -> Any:
    """The innermost loop as a function of addresses for numba: one block of the tile."""

    @intrinsic
    def block(typing_context, rows, norms, columns, added, tile, pitch):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _Block(builder, kernel).emit(*arguments)
            return context.get_dummy_value()

        return types.void(rows, norms, columns, added, tile, pitch), generate

    return block


class _Block:
    """Writes the innermost loop with LLVM's builder. Addresses are 64-bit integers, offsets count 32-bit numbers."""

    def __init__(self, builder: Any, kernel: Kernel) -> None:
        self.builder, self.kernel = builder, kernel
        self.vector = ir.VectorType(_I32, kernel.lanes)

    def emit(self, rows: Any, norms: Any, columns: Any, added: Any, tile: Any, pitch: Any) -> None:
        """The loop over the numbers of a descriptor, and the distances stored."""
        build, kernel = self.builder, self.kernel
        before = build.block
        loop, done = build.append_basic_block("loop"), build.append_basic_block("done")
        build.branch(loop)
        build.position_at_end(loop)
        step = build.phi(_I64)
        sums = [[build.phi(self.vector) for _ in range(kernel.vectors)] for _ in range(kernel.rows)]
        place = build.mul(step, _I64(kernel.columns))
        read = [
            self.load(columns, build.add(place, _I64(kernel.lanes * v)), self.vector) for v in range(kernel.vectors)
        ]
        following = []
        for r in range(kernel.rows):
            number = self.splat(self.load(rows, build.add(_I64(kernel.steps * r), step), _I32))
            following.append([self.dot(sums[r][v], read[v], number) for v in range(kernel.vectors)])
        next_step = build.add(step, _I64(1))
        step.add_incoming(_I64(0), before)
        step.add_incoming(next_step, loop)
        for r in range(kernel.rows):
            for v in range(kernel.vectors):
                sums[r][v].add_incoming(ir.Constant(self.vector, [0] * kernel.lanes), before)
                sums[r][v].add_incoming(following[r][v], loop)
        build.cbranch(build.icmp_signed("<", next_step, _I64(kernel.steps)), loop, done)
        build.position_at_end(done)
        for v in range(kernel.vectors):
            offset = self.load(added, _I64(kernel.lanes * v), self.vector)
            for r in range(kernel.rows):
                twice = build.shl(following[r][v], ir.Constant(self.vector, [1] * kernel.lanes))
                constant = build.sub(offset, self.splat(self.load(norms, _I64(r), _I32)))
                target = build.add(build.mul(pitch, _I64(r)), _I64(kernel.lanes * v))
                build.store(build.add(twice, constant), self.pointer(tile, target, self.vector), align=4)

    def dot(self, total: Any, columns: Any, row: Any) -> Any:
        """The sum plus, in each lane, the products of the numbers in it."""
        vector = self.vector
        if self.kernel.bytes_at_once == 4:
            # written as assembly, since the name and type of LLVM's own function change from version to version
            encoding, register = ("{vex} ", "x") if self.kernel.feature == "avxvnni" else ("", "v")
            function = ir.FunctionType(vector, [vector] * 3)
            places = f"={register},{register},{register},0"
            return self.builder.call(
                ir.InlineAsm(function, f"{encoding}vpdpbusd $2, $1, $0", places), [columns, row, total]
            )
        halves = ir.VectorType(ir.IntType(16), 2 * self.kernel.lanes)
        name = "llvm.x86.avx2.pmadd.wd"
        known = self.builder.module.globals
        multiply = known.get(name) or ir.Function(self.builder.module, ir.FunctionType(vector, [halves, halves]), name)
        pair = [self.builder.bitcast(value, halves) for value in (columns, row)]
        return self.builder.add(total, self.builder.call(multiply, pair))

    def load(self, address: Any, offset: Any, kind: Any) -> Any:
        """A number or a vector at an address."""
        return self.builder.load(self.pointer(address, offset, kind), align=4)

    def pointer(self, address: Any, offset: Any, kind: Any) -> Any:
        """The address as a pointer."""
        moved = self.builder.add(address, self.builder.mul(offset, _I64(4)))
        return self.builder.inttoptr(moved, kind.as_pointer())

    def splat(self, number: Any) -> Any:
        """A vector of one number."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        lanes = ir.Constant(ir.VectorType(_I32, self.kernel.lanes), [0] * self.kernel.lanes)
        return self.builder.shuffle_vector(self.builder.insert_element(nothing, number, _I32(0)), nothing, lanes)


@intrinsic
def _exceeding(typing_context, row, column, limit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Which of COLUMNS_AT_ONCE numbers at the address `row` exceed `limit` or their like at `column`: a bit each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, column, limit = arguments
        lanes = 16
        vector = ir.VectorType(_I32, lanes)
        nothing, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0] * lanes)
        limits = builder.shuffle_vector(builder.insert_element(nothing, limit, _I32(0)), nothing, zeros)
        bits = _I64(0)
        for part in range(COLUMNS_AT_ONCE // lanes):
            values, others = (
                builder.load(builder.inttoptr(builder.add(a, _I64(4 * lanes * part)), vector.as_pointer()), align=4)
                for a in (row, column)
            )
            larger = builder.or_(builder.icmp_signed(">", values, limits), builder.icmp_signed(">", values, others))
            mask = builder.zext(builder.bitcast(larger, ir.IntType(lanes)), _I64)
            bits = builder.or_(bits, builder.shl(mask, _I64(lanes * part)))
        return bits

    return types.int64(row, column, limit), generate


@intrinsic
def _lowest_bit(typing_context, bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The place of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(bits), generate


exceeding: Any = _exceeding  # called in compiled code without the first argument, which is the compiler's
lowest_bit: Any = _lowest_bit

llvm.initialize_native_asmparser()  # for the assembly in `dot`; numba sets up the rest of LLVM
