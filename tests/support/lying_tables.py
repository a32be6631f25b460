#!/usr/bin/env python3
"""Copies of a program whose unwind tables lie, one way each: lying_tables.py PROGRAM FUNCTION FOLDER

Code and data stay as they are, so the copies run like the program. FUNCTION is one whose entry is
forged where only one is."""

import hashlib
import os
import random
import struct
import sys

NOP = 0  # DW_CFA_nop


def sections(elf):
    at, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    rows = [struct.unpack_from("<IIQQQQIIQQ", elf, at + i * size) for i in range(count)]
    strings = rows[names][4]
    found = {}
    for name, _, _, address, offset, length, link, *_ in rows:
        end = elf.index(b"\0", strings + name)
        found[elf[strings + name : end].decode()] = (address, offset, length, link)
    return found


def address_of(elf, found, function):
    _, offset, length, link = found[".symtab"]
    strings = found[".strtab"][1]
    for at in range(offset, offset + length, 24):
        name, _, _, _, value, size = struct.unpack_from("<IBBHQQ", elf, at)
        end = elf.index(b"\0", strings + name)
        if elf[strings + name : end].decode() == function:
            return value, size
    sys.exit(f"no function {function}")


class Program:
    def __init__(self, elf, function):
        self.elf = bytearray(elf)
        found = sections(elf)
        self.hdr_address, self.hdr, self.hdr_size, _ = found[".eh_frame_hdr"]
        self.frame_address, self.frame, self.frame_size, _ = found[".eh_frame"]
        _, note, size, _ = found[".note.gnu.build-id"]
        self.build_id = slice(note + size - 20, note + size)
        self.text_address, _, self.text_size, _ = found[".text"]
        self.count, = struct.unpack_from("<I", elf, self.hdr + 8)
        self.table = self.hdr + 12
        start, _ = address_of(elf, found, function)
        self.number = next(i for i in range(self.count) if self.start_of(i) == start)
        self.fde = self.fde_of(self.number)

    def start_of(self, i):
        return self.hdr_address + struct.unpack_from("<i", self.elf, self.table + 8 * i)[0]

    def fde_of(self, i):
        """Where an entry lies in the file."""
        address = self.hdr_address + struct.unpack_from("<i", self.elf, self.table + 8 * i + 4)[0]
        return self.frame + address - self.frame_address

    def put(self, at, fmt, *values):
        struct.pack_into(fmt, self.elf, at, *values)

    def program(self, fde):
        """Where an entry's instructions lie: behind start and size, 4 bytes each, and no augmentation data."""
        length, = struct.unpack_from("<I", self.elf, fde)
        return fde + 4 + 4 + 4 + 4 + 1, fde + 4 + length

    def say(self, instructions):
        """The forged function's entry says this, and nothing else."""
        at, end = self.program(self.fde)
        assert len(instructions) <= end - at, (len(instructions), end - at)
        self.elf[at:end] = instructions.ljust(end - at, bytes([NOP]))

    def all_fdes(self):
        return [self.fde_of(i) for i in range(self.count)]


# DW_CFA_def_cfa: register 7 is the stack pointer, 6 rbp
VARIANTS = {
    "cyclic": lambda p: p.say(b"\x0c\x07\x00"),  # CFA = sp
    "inwards": lambda p: p.say(b"\x12\x07\x01"),  # CFA = sp - 8 (def_cfa_sf, times the CIE's -8)
    "wrong_cfa": lambda p: p.say(b"\x0c\x07\x18"),  # in the middle of the frame
    "wrong_register": lambda p: p.say(b"\x0c\x06\x10"),  # CFA = rbp + 16, and rbp is no frame pointer
    "strange_register": lambda p: p.say(b"\x0c\x60\x10"),
    "huge_offset": lambda p: p.say(b"\x0c\x07\xff\xff\xff\xff\xff\xff\xff\x7f"),
    "endless_number": lambda p: p.say(b"\x0e" + b"\x80" * 6),
    "endless_expression": lambda p: p.say(b"\x0f\x03\x2f\xfd\xff"),  # DW_OP_skip to itself
    "restore_nothing": lambda p: p.say(b"\x0b\x0b\x0b\x0e\x10"),
    "no_such_instruction": lambda p: p.say(b"\x3f\x3e\x3d"),
    "return_elsewhere": lambda p: p.say(b"\x0c\x07\x10\x90\x40"),  # far below the frame
    "covers_all": lambda p: [p.put(p.fde + 12, "<i", 0x7FFFFFFF), p.say(b"\x0c\x07\x08")],
    "starts_early": lambda p: [
        p.put(p.fde + 8, "<i", p.text_address - (p.frame_address + p.fde + 8 - p.frame)),
        p.put(p.fde + 12, "<i", p.text_size),
    ],
    "overlapping": lambda p: [p.put(f + 12, "<i", 0x400) for f in p.all_fdes()],
    "all_one": lambda p: [
        p.put(p.table + 8 * i + 4, "<i", struct.unpack_from("<i", p.elf, p.table + 8 * p.number + 4)[0])
        for i in range(p.count)
    ],
    "hdr_unsorted": lambda p: p.elf.__setitem__(
        slice(p.table, p.table + 8 * p.count),
        b"".join(bytes(p.elf[p.table + 8 * i : p.table + 8 * i + 8]) for i in reversed(range(p.count))),
    ),
    "hdr_too_many": lambda p: p.put(p.hdr + 8, "<I", 0xFFFFFFFF),
    "hdr_none": lambda p: p.put(p.hdr + 8, "<I", 0),
    "hdr_elsewhere": lambda p: p.put(p.hdr + 4, "<i", 0x7FFFFFFF),
    "hdr_garbage": lambda p: p.elf.__setitem__(slice(p.table, p.table + 8 * p.count), garbage(8 * p.count)),
    "cie_is_itself": lambda p: p.put(p.fde + 4, "<I", 4),
    "cie_before": lambda p: p.put(p.fde + 4, "<I", 0x7FFFFFFF),
    "length_huge": lambda p: p.put(p.fde, "<I", 0x7FFFFFFF),
    "length_64": lambda p: p.put(p.fde, "<I", 0xFFFFFFFF),
    "length_zero": lambda p: p.put(p.frame, "<I", 0),
    "garbage": lambda p: p.elf.__setitem__(
        slice(p.frame, p.frame + p.frame_size), garbage(p.frame_size)
    ),
}


def garbage(size):
    return random.Random(size).randbytes(size)


def main():
    source, function, folder = sys.argv[1:]
    elf = open(source, "rb").read()
    for name, lie in VARIANTS.items():
        p = Program(elf, function)
        lie(p)
        p.elf[p.build_id] = hashlib.sha1(name.encode()).digest()  # or they would be one file
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(p.elf)
        os.chmod(path, 0o755)


main()
