"""Reading an ELF file as far as the gates need it: what it is for, and which symbols it lacks.

Source: System V ABI, chapters 4 and 5; little-endian files of 32 and 64 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SHT_SYMTAB, _SHT_DYNSYM, _SHT_DYNAMIC = 2, 11, 6
_DT_NEEDED, _DT_TEXTREL = 1, 22
_SHN_UNDEF = 0
_PT_LOAD, _PT_GNU_STACK = 1, 0x6474E551
_PF_X = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    machine: int
    bits: int
    flags: int
    undefined: frozenset[str]
    """Named symbols used but not defined here."""
    defined: frozenset[str]
    """Named symbols that others can use (global or weak)."""
    needed: tuple[str, ...]
    """Libraries the dynamic linker must load first."""
    executable_stack: bool
    page_bytes: int
    """The largest page of a kernel that can map the file; 0 if there is nothing to map."""


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    entry_size: int


def read(data: bytes) -> Elf:
    """ValueError when `data` is not a little-endian ELF file."""
    if data[:4] != b"\x7fELF" or data[5:6] != b"\1":
        raise ValueError("not a little-endian ELF file")
    wide = data[4] == 2
    header = struct.unpack_from("<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH", data, 16)
    _, machine, _, _, program_at, section_at, flags, _, program_size, program_count, size, count, _ = header
    sections = [_section(data, section_at + i * size, wide) for i in range(count)]
    undefined, defined = _symbols(data, sections, wide)
    segments = [
        struct.unpack_from("<II40xQ" if wide else "<I20xII", data, program_at + i * program_size)
        for i in range(program_count)
    ]
    return Elf(
        machine=machine,
        bits=64 if wide else 32,
        flags=flags,
        undefined=undefined,
        defined=defined,
        needed=_needed(data, sections, wide),
        executable_stack=any(kind == _PT_GNU_STACK and access & _PF_X for kind, access, _ in segments),
        page_bytes=min((align for kind, _, align in segments if kind == _PT_LOAD), default=0),
    )


def _section(data: bytes, at: int, wide: bool) -> _Section:
    if wide:
        kind, offset, size, link, entry = struct.unpack_from("<4xI16xQQI12xQ", data, at)
    else:
        kind, offset, size, link, entry = struct.unpack_from("<4xI8xIII8xI", data, at)
    return _Section(kind, offset, size, link, entry)


def _symbols(data: bytes, sections: list[_Section], wide: bool) -> tuple[frozenset[str], frozenset[str]]:
    undefined: set[str] = set()
    defined: set[str] = set()
    for section in sections:
        if section.kind not in (_SHT_SYMTAB, _SHT_DYNSYM):
            continue
        strings = sections[section.link].offset
        for at in range(section.offset, section.offset + section.size, section.entry_size):
            # Elf64_Sym: name, info, other, shndx, ...; Elf32_Sym: name, value, size, info, other, shndx.
            name, info, _, index = struct.unpack_from("<IBBH" if wide else "<I8xBBH", data, at)
            text = _text(data, strings + name)
            if text and info >> 4:
                (undefined if index == _SHN_UNDEF else defined).add(text)
    return frozenset(undefined), frozenset(defined)


def _needed(data: bytes, sections: list[_Section], wide: bool) -> tuple[str, ...]:
    names = []
    for section in sections:
        if section.kind == _SHT_DYNAMIC:
            strings = sections[section.link].offset
            entries = struct.iter_unpack("<qQ" if wide else "<iI", data[section.offset :][: section.size])
            names += [_text(data, strings + value) for tag, value in entries if tag == _DT_NEEDED]
    return tuple(names)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
