"""The system calls of kernels: what numba compiles in their place, and what they are on each target.

A kernel calls functions of our own, `edge_agent_...`, whose arguments are 64 bits wide everywhere, so
one compilation serves all targets. `glue` defines them for one target in terms of its C library, whose
`size_t`, `long` and `time_t` differ; optimised together, nothing of the seam is left.

Sources: the C library's headers; on 32-bit ARM the functions with 64-bit time of glibc 2.34, which a
Debian of that architecture has had since 12.
"""
# numba wants all parameters of a lowering function, used or not, and an intrinsic is an object of
# numba's that only compiled code can call.
# ruff: noqa: ARG001, PLW0108

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from edge_agent.kernels import system
from edge_agent.kernels.build.targets import Target

_I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()

_OURS = {
    "edge_agent_now": (),
    "edge_agent_sleep_until": (_I64,),
    "edge_agent_read": (_I64, _BYTES, _I64),
    "edge_agent_write": (_I64, _BYTES, _I64),
    "edge_agent_poll_in": (_I64, _I64),
}

LIBC = ("read", "write", "poll", "__errno_location")
"""What the glue calls on every target; the clock's functions are in `Target.clock`."""


def announce() -> None:
    """numba resolves every symbol when it ends a compilation, and ends the process over an unknown one.
    The code made here is never run in this process, so any address will do."""
    for name in _OURS:
        llvm.add_symbol(name, 1)


def _call(builder: Any, name: str, args: list[Any]) -> Any:
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(_I64, _OURS[name]), name=name)
    return builder.call(function, args)


@intrinsic  # type: ignore[untyped-decorator]
def _now(typing: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "edge_agent_now", [])

    return types.int64(), lower


@intrinsic  # type: ignore[untyped-decorator]
def _sleep_until(typing: Any, when: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "edge_agent_sleep_until", [args[0]])

    return types.int64(types.int64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _read(typing: Any, fd: Any, data: Any, at: Any, length: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(args[1], [args[2]])
        return _call(builder, "edge_agent_read", [args[0], place, args[3]])

    return types.int64(types.int64, data, types.int64, types.int64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _write(typing: Any, fd: Any, data: Any, at: Any, length: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(args[1], [args[2]])
        return _call(builder, "edge_agent_write", [args[0], place, args[3]])

    return types.int64(types.int64, data, types.int64, types.int64), lower


@intrinsic  # type: ignore[untyped-decorator]
def _poll_in(typing: Any, fd: Any, timeout: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "edge_agent_poll_in", [args[0], args[1]])

    return types.int64(types.int64, types.int64), lower


FORMS: dict[Callable[..., Any], Callable[..., Any]] = {
    system.sys_now: lambda: _now(),
    system.sys_sleep_until: lambda when_ns: _sleep_until(when_ns),
    system.sys_read: lambda fd, data, at, length: _read(fd, data, at, length),
    system.sys_write: lambda fd, data, at, length: _write(fd, data, at, length),
    system.sys_poll_in: lambda fd, timeout_ns: _poll_in(fd, timeout_ns),
}


def glue(target: Target) -> str:
    """LLVM IR that defines our functions by those of the target's C library."""
    size = "i64" if target.elf_class == 64 else "i32"
    get_time, sleep = target.clock
    return f"""
declare {size} @read(i32 signext, ptr, {size})
declare {size} @write(i32 signext, ptr, {size})
declare i32 @poll(ptr, {size}, i32 signext)
declare i32 @{get_time}(i32 signext, ptr)
declare i32 @{sleep}(i32 signext, i32 signext, ptr, ptr)
declare ptr @__errno_location()

define i64 @edge_agent_or_errno(i64 %result) {{
  %failed = icmp slt i64 %result, 0
  br i1 %failed, label %error, label %fine
error:
  %place = call ptr @__errno_location()
  %number = load i32, ptr %place
  %wide = zext i32 %number to i64
  %negative = sub i64 0, %wide
  ret i64 %negative
fine:
  ret i64 %result
}}

define i64 @edge_agent_now() {{
  %time = alloca [2 x i64]
  %ignored = call i32 @{get_time}(i32 signext 1, ptr %time)
  %seconds = load i64, ptr %time
  %place = getelementptr i64, ptr %time, i64 1
  %padded = load i64, ptr %place
  ; On 32 bits the upper half is padding that nobody fills in.
  %part = and i64 %padded, 4294967295
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %part
  ret i64 %now
}}

define i64 @edge_agent_sleep_until(i64 %when) {{
  %time = alloca [2 x i64]
  %seconds = sdiv i64 %when, 1000000000
  %part = srem i64 %when, 1000000000
  store i64 %seconds, ptr %time
  %place = getelementptr i64, ptr %time, i64 1
  store i64 %part, ptr %place
  br label %sleep
sleep:
  ; Absolute, so that a signal costs nothing but another call.
  %result = call i32 @{sleep}(i32 signext 1, i32 signext 1, ptr %time, ptr null)
  %interrupted = icmp eq i32 %result, 4
  br i1 %interrupted, label %sleep, label %over
over:
  ret i64 0
}}

{_transfer("read", size)}
{_transfer("write", size)}
define i64 @edge_agent_poll_in(i64 %fd, i64 %timeout) {{
  %entry = alloca [2 x i32]
  %number = trunc i64 %fd to i32
  store i32 %number, ptr %entry
  %place = getelementptr i32, ptr %entry, i64 1
  store i32 1, ptr %place
  %more = add i64 %timeout, 999999
  %ms = sdiv i64 %more, 1000000
  %short = trunc i64 %ms to i32
  %ready = call i32 @poll(ptr %entry, {size} 1, i32 signext %short)
  %wide = sext i32 %ready to i64
  %result = call i64 @edge_agent_or_errno(i64 %wide)
  ret i64 %result
}}
"""


def _transfer(name: str, size: str) -> str:
    narrow = "" if size == "i64" else f"%count = trunc i64 %length to {size}"
    count = "%length" if size == "i64" else "%count"
    widen = "" if size == "i64" else f"%wide = sext {size} %moved to i64"
    moved = "%moved" if size == "i64" else "%wide"
    return f"""
define i64 @edge_agent_{name}(i64 %fd, ptr %data, i64 %length) {{
  %number = trunc i64 %fd to i32
  {narrow}
  %moved = call {size} @{name}(i32 signext %number, ptr %data, {size} {count})
  {widen}
  %result = call i64 @edge_agent_or_errno(i64 {moved})
  ret i64 %result
}}
"""
