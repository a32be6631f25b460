"""The programs that the rows profile, as they are installed: compiled without frame pointers."""

import os
import sys

from harness import need

PYTHON = """
import json, re
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
for i in range(30):
    fib(24)
    json.loads(json.dumps([{"a": j, "b": [str(j)] * 5} for j in range(20000)]))
    re.findall(r"(\\w+)=(\\d+)", "key=12 other=34 " * 20000)
    sorted(range(200000), key=lambda x: -x)
"""

SQL = """
create table t(a integer, b text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 1000000)
insert into t select x * 7919 % 100003, 'row ' || x from c;
create index i on t(a);
select count(*), sum(length(b)) from t where a in (select a from t where b like '%9%');
select a % 100, count(*), max(b) from t group by 1 order by 2;
"""

# What `openssl speed` runs by itself, then the ciphers and digests that it only runs when named.
OPENSSL_NAMED = """
chacha20 chacha20-poly1305 aes-128-gcm aes-256-gcm aes-256-ccm aes-256-ocb aes-256-ctr aes-256-xts
aes-256-cfb aria-256-gcm aria-256-ctr camellia-256-ctr sm4-ctr des-ede3-cbc aes-128-cbc-hmac-sha256
blake2b512 blake2s256 sha3-256 sha512-256 shake128 sm3 md5-sha1
""".split()


def python_words(b):
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    return [python, "-c", PYTHON]


def sqlite_words(b):
    need("sqlite3")
    return ["sqlite3", ":memory:", SQL]


def openssl_words(b):
    """Two minutes and a half of `speed`, then a second for each that it leaves out."""
    need("openssl")
    named = "; ".join(f"openssl speed -seconds 1 -bytes 8192 -evp {name}" for name in OPENSSL_NAMED)
    return ["sh", "-c", f"openssl speed -seconds 1 -bytes 8192; {named}"]


def gcc_words(b):
    need("g++")
    return ["g++", "-std=c++17", "-O2", "-c", "tests/bench/templates.cc", "-o", b.path("g++.o")]


def clang_words(b):
    need("clang++")
    return ["clang++", "-std=c++17", "-O2", "-c", "tests/bench/templates.cc", "-o", b.path("clang.o")]


def node_words(b):
    need("node")
    return ["node", "tests/bench/node_work.js", "4"]
