#!/usr/bin/env python3
"""Makes the tables of this folder on a real Cassandra and copies their files.

    make.py HOST DATA_DIR NODETOOL... -- SSTABLEDUMP...

With PREFIX=oa_ in the environment the folders get that prefix, and only those
tables are made in which format oa differs: for a Cassandra that runs with
storage_compatibility_mode NONE.

HOST serves CQL, DATA_DIR is its data folder, NODETOOL and SSTABLEDUMP are the
commands (with their arguments) that run those tools. Needs cassandra-driver.
Every write names its timestamp, so that the rows come out the same each time;
only the local times of deletions and expiries differ.
"""
import glob, json, os, shutil, subprocess, sys

from cassandra.cluster import Cluster

KS = "helenus_golden"

# name: (columns and options, statements)
TABLES = {}


def table(name, columns, options=""):
    statements = []
    TABLES[name] = (columns, options, statements)
    return statements.append


scalars = [("a", "ascii", "'abc'"), ("bi", "bigint", "-5"), ("bl", "blob", "0x00ff"), ("bo", "boolean", "true"),
           ("da", "date", "'2024-02-29'"), ("de", "decimal", "-12.3400"), ("dou", "double", "1.5"),
           ("du", "duration", "1mo2d3ns"), ("fl", "float", "-0.25"), ("ine", "inet", "'::1'"), ("i", "int", "7"),
           ("si", "smallint", "-2"), ("te", "text", "'h\u00e9'"), ("ti", "time", "'08:12:54.123'"),
           ("ts", "timestamp", "1700000000123"), ("tu", "timeuuid", "50554d6e-29bb-11e5-b345-feff819cdc9f"),
           ("ty", "tinyint", "-3"), ("uu", "uuid", "123e4567-e89b-42d3-a456-426614174000"),
           ("va", "varint", "-170141183460469231731687303715884105729"), ("ve", "vector<float, 3>", "[1, 2.5, -3]")]
add = table("scalars", "k int PRIMARY KEY, " + ", ".join(f"{n} {t}" for n, t, _ in scalars))
for n, t, v in scalars:
    add(f"INSERT INTO %s (k, {n}) VALUES (0, {v}) USING TIMESTAMP 1000")
    add(f"INSERT INTO %s (k, {n}) VALUES (1, null) USING TIMESTAMP 2000")
add("INSERT INTO %s (k, te, bl) VALUES (2, '', 0x) USING TIMESTAMP 1000")

clusterings = [(n, t, v) for n, t, v in scalars if n not in ("du", "ve")]
add = table("clusterings", "k int, " + ", ".join(f"{n} {t}" for n, t, _ in clusterings) + ", v int, PRIMARY KEY (k, " +
            ", ".join(n for n, _, _ in clusterings) + ")",
            "CLUSTERING ORDER BY (" + ", ".join(f"{n} {'DESC' if i % 2 else 'ASC'}" for i, (n, _, _) in enumerate(clusterings)) + ")")
add("INSERT INTO %s (k, " + ", ".join(n for n, _, _ in clusterings) + ", v) VALUES (0, " + ", ".join(v for _, _, v in clusterings) +
    ", 1) USING TIMESTAMP 1000")

add = table("collections", "k int, c int, l list<int>, s set<text>, m map<int, text>, u udt, fl frozen<list<int>>, fs frozen<set<text>>, "
            "fm frozen<map<int, text>>, fu frozen<udt>, t tuple<int, text>, n map<text, frozen<list<int>>>, st set<timeuuid>, sm static_placeholder, "
            "PRIMARY KEY (k, c)".replace("sm static_placeholder, ", ""))
add("INSERT INTO %s (k, c, l, s, m, u, fl, fs, fm, fu, t, n) VALUES (0, 0, [1, 2, 3], {'b', 'a', ''}, {-1: 'x', 2: 'y'}, {a: 1, b: 'q'}, "
    "[4, 5], {'z'}, {1: 'one'}, {a: 2, b: null}, (1, 'two'), {'k': [1, 2]}) USING TIMESTAMP 1000")
add("UPDATE %s USING TIMESTAMP 2000 SET s = s + {'c'}, m[7] = 'seven', u.b = 'other' WHERE k = 0 AND c = 0")
add("UPDATE %s USING TIMESTAMP 3000 SET l = l + [9] WHERE k = 0 AND c = 1")
add("DELETE m[2], s['a'], u.a FROM %s USING TIMESTAMP 4000 WHERE k = 0 AND c = 0")
add("DELETE l, n FROM %s USING TIMESTAMP 5000 WHERE k = 0 AND c = 0")
add("UPDATE %s USING TIMESTAMP 6000 AND TTL 100000000 SET m = m + {5: 'ttl'} WHERE k = 0 AND c = 2")
add("UPDATE %s USING TIMESTAMP 7000 SET st = {50554d6e-29bb-11e5-b345-feff819cdc9f, 00000000-29bb-11e5-b345-feff819cdc9f, "
    "ffffffff-29bb-11e5-8045-feff819cdc9f} WHERE k = 0 AND c = 3")

add = table("statics", "k int, c int, s int static, sm map<text, int> static, v int, PRIMARY KEY (k, c)")
for k in range(3):
    for c in range(k):
        add(f"INSERT INTO %s (k, c, v) VALUES ({k}, {c}, {c}) USING TIMESTAMP 1000")
add("UPDATE %s USING TIMESTAMP 2000 SET s = 1, sm = {'a': 1, 'b': 2} WHERE k = 1")
add("UPDATE %s USING TIMESTAMP 2000 SET s = 2 WHERE k = 5")
add("DELETE s FROM %s USING TIMESTAMP 3000 WHERE k = 6")

add = table("deletions", "k int, c int, d text, v int, w int, m set<int>, PRIMARY KEY (k, c, d)")
for c in range(10):
    add(f"INSERT INTO %s (k, c, d, v) VALUES (0, {c}, 'x', {c}) USING TIMESTAMP {1000 + 10 * c}")
add("DELETE FROM %s USING TIMESTAMP 1035 WHERE k = 0 AND c >= 2 AND c < 6")
add("DELETE FROM %s USING TIMESTAMP 1050 WHERE k = 0 AND c > 4 AND c <= 8")
add("DELETE FROM %s USING TIMESTAMP 900 WHERE k = 0 AND c >= 1")
add("DELETE FROM %s USING TIMESTAMP 3000 WHERE k = 0 AND c = 3 AND d > 'b'")
add("DELETE FROM %s USING TIMESTAMP 3000 WHERE k = 0 AND c = 9")
add("DELETE FROM %s USING TIMESTAMP 3000 WHERE k = 0 AND c = 1 AND d = 'x'")
add("DELETE v FROM %s USING TIMESTAMP 3000 WHERE k = 0 AND c = 0 AND d = 'x'")
add("DELETE m FROM %s USING TIMESTAMP 3000 WHERE k = 0 AND c = 0 AND d = 'x'")
add("DELETE FROM %s USING TIMESTAMP 3000 WHERE k = 1")
add("INSERT INTO %s (k, c, d, v) VALUES (1, 1, 'x', 1) USING TIMESTAMP 4000")
add("DELETE FROM %s USING TIMESTAMP 3000 WHERE k = 2 AND c < 5")

add = table("ttls", "k int, c int, v int, w int, PRIMARY KEY (k, c)")
add("INSERT INTO %s (k, c, v, w) VALUES (0, 0, 1, 2) USING TIMESTAMP 1000 AND TTL 100000000")
add("INSERT INTO %s (k, c, v) VALUES (0, 1, 1) USING TIMESTAMP 1000 AND TTL 100000000")
add("UPDATE %s USING TIMESTAMP 2000 AND TTL 200000000 SET w = 3 WHERE k = 0 AND c = 1")
add("UPDATE %s USING TIMESTAMP 2000 SET w = 3 WHERE k = 0 AND c = 2")
add("UPDATE %s USING TIMESTAMP 2000 AND TTL 300000000 SET v = 3 WHERE k = 1 AND c = 2")
if os.environ.get("PREFIX"):
    add("INSERT INTO %s (k, c, v) VALUES (3, 1, 1) USING TIMESTAMP 1000 AND TTL 600000000")

add = table("columns", "k int, c int, " + ", ".join(f"v{i} int" for i in range(70)) + ", PRIMARY KEY (k, c)")
for c, cols in enumerate([range(70), [0], [1, 69], range(60), range(5, 70), range(35), range(34), range(36)]):
    cols = list(cols)
    add(f"INSERT INTO %s (k, c, {', '.join(f'v{i}' for i in cols)}) VALUES (0, {c}, {', '.join(map(str, cols))}) USING TIMESTAMP 1000")

add = table("composite", "a int, b text, c blob, d int, v int, PRIMARY KEY ((a, b, c), d)", "CLUSTERING ORDER BY (d DESC)")
for i in range(300):
    add(f"INSERT INTO %s (a, b, c, d, v) VALUES ({i}, 'k{i}', 0x{i:08x}, {i % 3}, {i}) USING TIMESTAMP {1000 + i}")

add = table("counters", "k int, c int, n counter, PRIMARY KEY (k, c)")
for i in range(3):
    add(f"UPDATE %s SET n = n + {i} WHERE k = 0 AND c = {i}")

add = table("large", "k int, c int, v text, s int static, PRIMARY KEY (k, c)")
for k in range(3):
    for c in range(1 if k == 1 else 400):
        add(f"INSERT INTO %s (k, c, v) VALUES ({k}, {c}, '{chr(97 + c % 26) * 1000}') USING TIMESTAMP {1000 + c}")
add("DELETE FROM %s USING TIMESTAMP 1100 WHERE k = 0 AND c >= 50 AND c < 250")

for name, options in [("none", "{'enabled': 'false'}"), ("snappy", "{'class': 'SnappyCompressor'}"),
                      ("deflate", "{'class': 'DeflateCompressor'}"), ("zstd", "{'class': 'ZstdCompressor', 'compression_level': 5}"),
                      ("noop", "{'class': 'NoopCompressor'}"), ("chunk4", "{'class': 'LZ4Compressor', 'chunk_length_in_kb': 4}"),
                      ("ratio", "{'class': 'LZ4Compressor', 'chunk_length_in_kb': 4, 'min_compress_ratio': 4.0}")]:
    add = table("compress_" + name, "k int, c int, v text, PRIMARY KEY (k, c)", "compression = " + options)
    for i in range(200):
        add(f"INSERT INTO %s (k, c, v) VALUES ({i % 20}, {i}, '{'%d ' % (i * i * 7919) * (i % 20)}') USING TIMESTAMP {1000 + i}")


def shorten(x):
    """What is long in a dump is replaced by its length."""
    if isinstance(x, dict):
        return {k: shorten(v) for k, v in x.items()}
    if isinstance(x, list):
        return [shorten(v) for v in x]
    if isinstance(x, str) and len(x) > 60:
        return f"({len(x)} characters)"
    return x


def main(host, data, nodetool, dump):
    prefix = os.environ.get("PREFIX", "")
    if prefix:
        for name in set(TABLES) - {"scalars", "collections", "statics", "deletions", "ttls", "large", "compress_none", "compress_zstd"}:
            del TABLES[name]
    here = os.path.dirname(os.path.abspath(__file__))
    session = Cluster([host], schema_metadata_enabled=False, token_metadata_enabled=False).connect()
    session.default_timeout = 60
    session.execute(f"DROP KEYSPACE IF EXISTS {KS}")
    session.execute(f"CREATE KEYSPACE {KS} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
    session.execute(f"CREATE TYPE {KS}.udt (a int, b text)")
    for name, (columns, options, statements) in TABLES.items():
        session.execute(f"CREATE TABLE {KS}.{name} ({columns.replace('udt', KS + '.udt')}) WITH compaction = "
                        "{'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}" + (f" AND {options}" if options else ""))
        for s in statements:
            session.execute(s % f"{KS}.{name}")
    subprocess.run(nodetool + ["flush", KS], check=True)
    # What is flushed is LZ4 where the table's compressor is a slow one.
    subprocess.run(nodetool + ["compact", KS] + sorted({"compress_zstd", "compress_deflate"} & set(TABLES)), check=True)
    for name, (columns, options, _) in TABLES.items():
        out = os.path.join(here, prefix + name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        for f in glob.glob(f"{data}/{KS}/{name}-*/*.*"):
            if os.path.isfile(f):
                shutil.copy(f, out)
        with open(f"{out}/schema.cql", "w") as f:
            f.write(f"CREATE TABLE {name} ({columns})" + (f" WITH {options}" if options else "") + ";\n")
        for f in glob.glob(f"{out}/*-Data.db"):
            text = subprocess.run(dump + [f, "-t"], check=True, stdout=subprocess.PIPE).stdout
            with open(f"{out}/dump.json", "w") as o:
                for partition in shorten(json.loads(text)):
                    o.write(json.dumps(partition) + "\n")
    session.execute(f"DROP KEYSPACE {KS}")


if __name__ == "__main__":
    at = sys.argv.index("--")
    main(sys.argv[1], sys.argv[2], sys.argv[3:at], sys.argv[at + 1:])
