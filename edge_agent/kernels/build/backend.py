"""LLVM IR of all kernels to one object file for a target.

Everything but the exported kernels becomes internal, so helpers are inlined and numba's wrappers and
exception data (which hold paths of source files) disappear.
"""

from __future__ import annotations

from collections.abc import Iterable

import llvmlite.binding as llvm

from edge_agent.kernels.artifact import SYMBOL
from edge_agent.kernels.build import system
from edge_agent.kernels.build.frontend import Compiled
from edge_agent.kernels.build.targets import Target

RAISES = "edge_agent_kernel_may_raise."
"""Prefix of a function that exists nowhere: only a kernel that can fail still calls it when optimised,
and the gate for undefined symbols then names that kernel."""

_LLVM_TYPES = {"i64": "i64", "f64": "double", "void": "void"}


def emit_object(compiled: Iterable[Compiled], identity: bytes, target: Target) -> bytes:
    """The relocatable object that holds every kernel and, as `SYMBOL`, the string `identity`."""
    machine = _target_machine(target)
    items = list(compiled)
    module = _parse(_identity_ir(identity), machine)
    for item in items:
        module.link_in(_parse(item.ir, machine))
        module.link_in(_parse(_export_ir(item), machine))
    module.link_in(_parse(system.glue(target), machine))
    _internalise(module, {item.kernel.name for item in items} | {SYMBOL})
    module.verify()
    _optimise(module, machine)
    return machine.emit_object(module)


def emit_ir(ir: str, target: Target) -> bytes:
    """The object for IR text as it stands."""
    machine = _target_machine(target)
    return machine.emit_object(_parse(ir, machine))


def _target_machine(target: Target) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default", abiname=target.abi
    )


def _parse(ir: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    module = llvm.parse_assembly(ir)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return module


def _identity_ir(identity: bytes) -> str:
    text = "".join(f"\\{byte:02x}" for byte in (*identity, 0))
    return f'@{SYMBOL} = constant [{len(identity) + 1} x i8] c"{text}"'


def _export_ir(item: Compiled) -> str:
    """The function that the library exports: calls numba's inner function and returns its value.

    numba's own wrapper for C callbacks would print a failure through Python's API.
    """
    kernel = item.kernel
    result = _LLVM_TYPES[kernel.signature.result]
    types = [_llvm_type(argument) for argument in kernel.signature.arguments]
    parameters = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(types))
    inner = f'@"{item.inner}"'
    passed = ", ".join(("ptr %value", "ptr %failure", *(f"{kind} %a{i}" for i, kind in enumerate(types))))
    load, returned = ("", "void") if result == "void" else (f"%r = load {result}, ptr %value", f"{result} %r")
    return f"""
declare i32 {inner}({", ".join(["ptr", "ptr", *types])})
declare void @"{RAISES}{kernel.name}"()
define {result} @{kernel.name}({parameters}) {{
  %value = alloca i64
  %failure = alloca ptr
  %status = call i32 {inner}({passed})
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %raise, label %return
raise:
  call void @"{RAISES}{kernel.name}"()
  unreachable
return:
  {load}
  ret {returned}
}}
"""


def _llvm_type(argument: str) -> str:
    return "ptr" if argument.endswith("*") else _LLVM_TYPES[argument]


def _internalise(module: llvm.ModuleRef, exports: set[str]) -> None:
    for function in module.functions:
        # Without this, ARM code refers to the unwinder.
        function.add_function_attribute("nounwind")
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name not in exports:
            value.linkage = "internal"


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
