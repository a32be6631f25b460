#!/usr/bin/env python3
"""A file system with one executable file, which answers late: slow_files.py PROGRAM FOLDER SECONDS

Mounts a file system at FOLDER (root, /dev/fuse) whose file `program` has the content of PROGRAM. As soon
as the file `FOLDER.slow` is there, each open waits for SECONDS. Ends when it is unmounted."""

import ctypes
import os
import struct
import sys
import threading
import time

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 17, 18, 25, 26
INTERRUPT, BATCH_FORGET = 36, 42
ENOENT, ENOSYS = 2, 38

source, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
content = open(source, "rb").read()
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
if libc.mount(b"slow", folder.encode(), b"fuse", 0, options.encode()) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")


def attributes(node):
    mode, size = (0o40755, 0) if node == 1 else (0o100755, len(content))
    # ino size blocks, times and their nanoseconds, mode nlink uid gid rdev blksize flags
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(unique, body=b"", error=0):
    try:
        os.write(device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
    except OSError:
        pass  # nobody waits any more


def opened(unique):
    if os.path.exists(folder + ".slow"):
        time.sleep(seconds)
    answer(unique, struct.pack("<QII", 1, 2, 0))  # what was read once stays in memory


def handle(request):
    _, operation, unique, node = struct.unpack_from("<IIQQ", request)
    body = request[40:]
    if operation == INIT:
        _, minor, readahead, flags = struct.unpack_from("<IIII", body)
        answer(unique, struct.pack("<IIIIHHIIHHIIHHI5I", 7, min(minor, 31), readahead, 0, 12, 10, 65536, 1, 0, 0, *[0] * 10)[:64])
    elif operation == LOOKUP:
        found = body.rstrip(b"\0") == b"program"
        entry = struct.pack("<QQQQII", 2, 0, 60, 60, 0, 0) + attributes(2)
        answer(unique, entry if found else b"", 0 if found else ENOENT)
    elif operation == GETATTR:
        answer(unique, struct.pack("<QII", 60, 0, 0) + attributes(node))
    elif operation == OPEN:
        threading.Thread(target=opened, args=(unique,), daemon=True).start()
    elif operation == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        answer(unique, content[offset : offset + size])
    elif operation == STATFS:
        answer(unique, bytes(80))
    elif operation in (FLUSH, RELEASE):
        answer(unique)
    elif operation not in (FORGET, BATCH_FORGET, INTERRUPT):
        answer(unique, error=ENOSYS)


while True:
    try:
        handle(os.read(device, 1 << 20))
    except OSError as e:
        sys.exit(0 if e.errno == 19 else f"/dev/fuse: {e}")  # ENODEV: unmounted
