"""The kernel's own count of what BPF programs cost: its statistics, switched on while somebody holds
the descriptor, and the programs of one process, held beyond its end."""

import ctypes
import os
import platform
import struct

from harness import Skip

CALL = {"x86_64": 321, "aarch64": 280}
GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, ENABLE_STATS = 13, 15, 32
RUN_TIME_AT = 192  # in struct bpf_prog_info: run_time_ns, run_cnt, recursion_misses, verified_insns

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    number = CALL.get(platform.machine())
    if number is None:
        raise Skip(f"no number of the system call bpf for {platform.machine()}")
    done = libc.syscall(number, command, attr, len(attr))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


class Stats:
    """Statistics are on while this is open. hold(pid) keeps the programs that the process holds."""

    def __enter__(self):
        self.programs = {}
        try:
            self.fd = bpf(ENABLE_STATS, ctypes.create_string_buffer(struct.pack("I", 0), 128))
        except OSError as why:
            raise Skip(f"BPF statistics cannot be switched on: {why}") from None
        return self

    def hold(self, pid):
        for name in os.listdir(f"/proc/{pid}/fdinfo"):
            try:
                text = open(f"/proc/{pid}/fdinfo/{name}").read()
            except OSError:
                continue
            words = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            if "prog_id" in words and int(words["prog_id"]) not in self.programs:
                number = int(words["prog_id"])
                self.programs[number] = bpf(GET_FD_BY_ID,
                                            ctypes.create_string_buffer(struct.pack("III", number, 0, 0), 128))

    def read(self):
        """[(name, type, run time in ns, runs)], those that ran most first."""
        found = []
        for fd in self.programs.values():
            info = ctypes.create_string_buffer(256)
            bpf(OBJ_GET_INFO_BY_FD,
                ctypes.create_string_buffer(struct.pack("IIQ", fd, len(info), ctypes.addressof(info)), 128))
            run_time, runs = struct.unpack_from("QQ", info, RUN_TIME_AT)
            name = info.raw[64:80].split(b"\0")[0].decode(errors="replace")
            found.append((name, struct.unpack_from("I", info)[0], run_time, runs))
        return sorted(found, key=lambda p: -p[3])

    def __exit__(self, *_):
        for fd in (self.fd, *self.programs.values()):
            os.close(fd)
        return False
