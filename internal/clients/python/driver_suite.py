"""What the Python driver with its default settings must find on a node.

Run with a node's address in HELENUS_CQL (host:port). HELENUS_RESTART, when
set, is a shell command that kills and restarts the node; without it the
reconnect test is skipped. The same suite passes against Apache Cassandra.
"""
import decimal
import datetime
import ipaddress
import os
import subprocess
import threading
import time
import unittest
import uuid

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable, AlreadyExists
from cassandra.cluster import Cluster, NoHostAvailable
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement, UNSET_VALUE
from cassandra.util import Date, Duration, Time

HOST, PORT = os.environ["HELENUS_CQL"].rsplit(":", 1)
KEYSPACE = "suite_" + uuid.uuid4().hex[:8]


def connect(**options):
    cluster = Cluster([HOST], port=int(PORT), **options)
    return cluster, cluster.connect()


def unavailable(call):
    """The numbers of the Unavailable that call meets; the driver's default
    policy tries the next host, so that it arrives inside NoHostAvailable."""
    try:
        call()
    except NoHostAvailable as e:
        e, = e.errors.values()
        return e.consistency, e.required_replicas, e.alive_replicas
    except Unavailable as e:
        return e.consistency, e.required_replicas, e.alive_replicas
    raise AssertionError("no error")


class Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster, cls.session = connect()
        cls.session.execute(
            f"CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
        cls.session.set_keyspace(KEYSPACE)

    @classmethod
    def tearDownClass(cls):
        cls.session.execute(f"DROP KEYSPACE {KEYSPACE}")
        cls.cluster.shutdown()

    def test_metadata(self):
        s = self.session
        s.execute("CREATE TABLE meta (a int, b text, c timestamp, d uuid, s text static, m map<text, frozen<list<int>>>, "
                  "v int, PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC) AND comment = 'it''s' "
                  "AND gc_grace_seconds = 77 AND compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 10}")
        self.cluster.refresh_schema_metadata()
        t = self.cluster.metadata.keyspaces[KEYSPACE].tables["meta"]
        self.assertEqual([c.name for c in t.partition_key], ["a", "b"])
        self.assertEqual([c.name for c in t.clustering_key], ["c", "d"])
        self.assertTrue(t.columns["c"].is_reversed)
        self.assertTrue(t.columns["s"].is_static)
        self.assertEqual(t.columns["m"].cql_type, "map<text, frozen<list<int>>>")
        self.assertEqual(t.options["gc_grace_seconds"], 77)
        self.assertEqual(t.options["comment"], "it's")
        self.assertIn("CLUSTERING ORDER BY (c DESC, d ASC)", t.as_cql_query())
        self.assertEqual(self.cluster.metadata.partitioner, "org.apache.cassandra.dht.Murmur3Partitioner")
        self.assertEqual(len(self.cluster.metadata.all_hosts()), 1)
        host = self.cluster.metadata.all_hosts()[0]
        self.assertEqual(host.release_version[:2], "5.")
        self.assertIsNotNone(host.host_id)
        self.assertTrue(self.cluster.metadata.get_replicas(KEYSPACE, b"\x00\x00\x00\x01"))
        self.assertIn("system_schema", self.cluster.metadata.keyspaces)
        self.assertIn("local", self.cluster.metadata.keyspaces["system"].tables)

    def test_scalars(self):
        s = self.session
        values = [
            ("ascii", "plain"), ("bigint", -2**62), ("blob", b"\x00\xff\x80"), ("boolean", True),
            ("date", Date(datetime.date(1969, 7, 20))), ("decimal", decimal.Decimal("-12.3400")), ("double", 1.5e300),
            ("duration", Duration(1, 2, 3000000000)), ("float", 0.5), ("inet", "2001:db8::1"), ("int", -2147483648),
            ("smallint", -32768), ("text", "grüße €😀"), ("time", Time("23:59:59.123456789")),
            ("timestamp", datetime.datetime(2013, 1, 1, 5, 17, 0, 123000)),
            ("timeuuid", uuid.uuid1()), ("tinyint", -128), ("uuid", uuid.uuid4()), ("varchar", ""), ("varint", -10**40),
        ]
        columns = ", ".join(f"c{i} {t}" for i, (t, _) in enumerate(values))
        s.execute(f"CREATE TABLE scalars (k int PRIMARY KEY, {columns})")
        names = ["k"] + [f"c{i}" for i in range(len(values))]
        p = s.prepare(f"INSERT INTO scalars ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})")
        s.execute(p, [1] + [v for _, v in values])
        s.execute(p, [2] + [None] * len(values))
        row = s.execute("SELECT * FROM scalars WHERE k = 1").one()
        for i, (t, want) in enumerate(values):
            got = getattr(row, f"c{i}")
            self.assertEqual(str(got) if t == "inet" else got, want, t)
        row = s.execute("SELECT * FROM scalars WHERE k = 2").one()
        self.assertTrue(all(v is None for v in row[1:]))

    def test_literals(self):
        s = self.session
        s.execute("CREATE TABLE literals (k int PRIMARY KEY, b blob, d date, du duration, i inet, t time, ts timestamp, u uuid, "
                  "v varint, de decimal, f float)")
        s.execute("INSERT INTO literals (k, b, d, du, i, t, ts, u, v, de, f) VALUES (1, 0xCAFE, '2013-01-01', 1y2mo3d4h, '10.0.0.1', "
                  "'08:12:54.123', '2013-01-01 05:17:00+0000', 123e4567-e89b-12d3-a456-426614174000, 12345678901234567890, 1.50, -3)")
        r = s.execute("SELECT * FROM literals WHERE k = 1").one()
        self.assertEqual(r.b, b"\xca\xfe")
        self.assertEqual(r.d, Date("2013-01-01"))
        self.assertEqual(r.du, Duration(14, 3, 4 * 3600 * 10**9))
        self.assertEqual(str(r.i), "10.0.0.1")
        self.assertEqual(r.t, Time("08:12:54.123"))
        self.assertEqual(r.ts, datetime.datetime(2013, 1, 1, 5, 17))
        self.assertEqual(str(r.de), "1.50")
        self.assertEqual(r.f, -3.0)

    def test_collections(self):
        s = self.session
        s.execute("CREATE TABLE coll (k int PRIMARY KEY, l list<int>, st set<text>, m map<text, int>, fl frozen<list<int>>, "
                  "fm frozen<map<int, text>>)")
        p = s.prepare("INSERT INTO coll (k, l, st, m, fl, fm) VALUES (?, ?, ?, ?, ?, ?)")
        s.execute(p, [1, [3, 1, 2], {"b", "a"}, {"x": 1, "y": 2}, [9, 8], {1: "one"}])
        s.execute("UPDATE coll SET l = l + [4], st = st + {'c'}, m['z'] = 3 WHERE k = 1")
        s.execute("UPDATE coll SET l = [0] + l, st = st - {'a'}, m = m - {'x'} WHERE k = 1")
        s.execute("UPDATE coll SET l[1] = 30 WHERE k = 1")
        s.execute("DELETE l[2], m['y'] FROM coll WHERE k = 1")
        r = s.execute("SELECT * FROM coll WHERE k = 1").one()
        self.assertEqual(r.l, [0, 30, 2, 4])
        self.assertEqual(r.st, {"b", "c"})
        self.assertEqual(dict(r.m), {"z": 3})
        self.assertEqual(r.fl, [9, 8])
        self.assertEqual(dict(r.fm), {1: "one"})
        s.execute("UPDATE coll SET l = [5] WHERE k = 1")
        self.assertEqual(s.execute("SELECT l FROM coll WHERE k = 1").one().l, [5])
        s.execute(p, [2, [], set(), {}, [], {}])
        r = s.execute("SELECT * FROM coll WHERE k = 2").one()
        self.assertIsNone(r.l)
        self.assertIsNone(r.m)
        self.assertEqual(r.fl, [])

    def test_null_and_unset(self):
        s = self.session
        s.execute("CREATE TABLE nu (k int, c int, a int, b int, PRIMARY KEY (k, c))")
        p = s.prepare("INSERT INTO nu (k, c, a, b) VALUES (?, ?, ?, ?)")
        s.execute(p, [1, 1, 10, 20])
        s.execute(p, [1, 1, None, UNSET_VALUE])
        self.assertEqual(tuple(s.execute("SELECT a, b FROM nu WHERE k = 1 AND c = 1").one()), (None, 20))
        with self.assertRaises(InvalidRequest):
            s.execute(p, [1, None, 1, 1])
        with self.assertRaises(InvalidRequest):
            s.execute(p, [1, UNSET_VALUE, 1, 1])
        s.execute("UPDATE nu SET a = 1 WHERE k = 2 AND c = 2")
        s.execute("UPDATE nu SET a = null WHERE k = 2 AND c = 2")
        self.assertEqual(list(s.execute("SELECT * FROM nu WHERE k = 2")), [])
        s.execute("INSERT INTO nu (k, c) VALUES (3, 3)")
        self.assertEqual(tuple(s.execute("SELECT * FROM nu WHERE k = 3").one()), (3, 3, None, None))

    def test_statics(self):
        s = self.session
        s.execute("CREATE TABLE st (k int, c int, s text static, v int, PRIMARY KEY (k, c))")
        s.execute("INSERT INTO st (k, s) VALUES (1, 'alone')")
        self.assertEqual([tuple(r) for r in s.execute("SELECT k, c, s, v FROM st WHERE k = 1")], [(1, None, "alone", None)])
        s.execute("INSERT INTO st (k, c, v) VALUES (1, 2, 20)")
        s.execute("INSERT INTO st (k, c, v, s) VALUES (1, 1, 10, 'shared')")
        self.assertEqual([tuple(r) for r in s.execute("SELECT k, c, s, v FROM st WHERE k = 1")],
                         [(1, 1, "shared", 10), (1, 2, "shared", 20)])
        self.assertEqual([tuple(r) for r in s.execute("SELECT DISTINCT k, s FROM st")], [(1, "shared")])
        s.execute("DELETE FROM st WHERE k = 1 AND c > 1")
        self.assertEqual([r.c for r in s.execute("SELECT c FROM st WHERE k = 1")], [1])
        s.execute("DELETE FROM st WHERE k = 1")
        self.assertEqual(list(s.execute("SELECT * FROM st WHERE k = 1")), [])

    def test_slices(self):
        s = self.session
        s.execute("CREATE TABLE sl (k int, a int, b text, v int, PRIMARY KEY (k, a, b)) WITH CLUSTERING ORDER BY (a DESC, b ASC)")
        p = s.prepare("INSERT INTO sl (k, a, b, v) VALUES (?, ?, ?, ?)")
        for k in range(3):
            for a in range(5):
                for b in "xyz":
                    s.execute(p, [k, a, b, a])

        def rows(where, *args):
            return [(r.a, r.b) for r in s.execute("SELECT a, b FROM sl WHERE " + where, args or None)]

        self.assertEqual(rows("k = 1 AND a = 3"), [(3, "x"), (3, "y"), (3, "z")])
        self.assertEqual(rows("k = 1 AND a > 2 AND a <= 3"), [(3, "x"), (3, "y"), (3, "z")])
        self.assertEqual(rows("k = 1 AND a = 2 AND b > 'x'"), [(2, "y"), (2, "z")])
        self.assertEqual(rows("k = 1 AND a IN (0, 4) AND b = 'y'"), [(4, "y"), (0, "y")])
        self.assertEqual(rows("k = 1 AND a = 2 ORDER BY a ASC, b DESC"), [(2, "z"), (2, "y"), (2, "x")])
        self.assertEqual(rows("k = 1 ORDER BY a ASC LIMIT 4"), [(0, "z"), (0, "y"), (0, "x"), (1, "z")])
        self.assertEqual(rows("k = 1 AND (a, b) > (3, 'y')"), [(4, "x"), (4, "y"), (4, "z"), (3, "z")])
        self.assertEqual(len(rows("k IN (0, 1, 2) AND a = 1")), 9)
        self.assertEqual(s.execute("SELECT count(*) FROM sl WHERE k = 1").one()[0], 15)
        self.assertEqual(s.execute("SELECT count(*) FROM sl").one()[0], 45)
        self.assertEqual(len(rows("v = 2 ALLOW FILTERING")), 9)
        self.assertEqual(len(rows("k = 1 AND v >= 3 ALLOW FILTERING")), 6)
        with self.assertRaisesRegex(InvalidRequest, "ALLOW FILTERING"):
            rows("v = 2")
        tokens = sorted({r[0]: r[1] for r in s.execute("SELECT k, token(k) FROM sl")}.items(), key=lambda x: x[1])
        first = tokens[0]
        self.assertEqual({r.k for r in s.execute(f"SELECT k FROM sl WHERE token(k) <= {first[1]}")}, {first[0]})
        self.assertEqual({r.k for r in s.execute(f"SELECT k FROM sl WHERE token(k) > {first[1]}")},
                         {k for k, _ in tokens[1:]})

    def test_ttl_and_timestamp(self):
        s = self.session
        s.execute("CREATE TABLE tt (k int PRIMARY KEY, a int, b int)")
        s.execute("INSERT INTO tt (k, a) VALUES (1, 1) USING TTL 1000 AND TIMESTAMP 5")
        r = s.execute("SELECT ttl(a), writetime(a), ttl(b), writetime(b) FROM tt WHERE k = 1").one()
        self.assertTrue(990 < r[0] <= 1000)
        self.assertEqual(r[1:], (5, None, None))
        s.execute("UPDATE tt USING TIMESTAMP 4 SET a = 9 WHERE k = 1")
        self.assertEqual(s.execute("SELECT a FROM tt WHERE k = 1").one().a, 1)
        s.execute("DELETE FROM tt USING TIMESTAMP 5 WHERE k = 1")
        self.assertEqual(list(s.execute("SELECT * FROM tt WHERE k = 1")), [])
        s.execute("INSERT INTO tt (k, a) VALUES (2, 2) USING TTL 1")
        time.sleep(2.1)
        self.assertEqual(list(s.execute("SELECT * FROM tt WHERE k = 2")), [])

    def test_conditional(self):
        s = self.session
        s.execute("CREATE TABLE cas (k int PRIMARY KEY, v int)")
        self.assertTrue(s.execute("INSERT INTO cas (k, v) VALUES (1, 1) IF NOT EXISTS").one().applied)
        r = s.execute("INSERT INTO cas (k, v) VALUES (1, 2) IF NOT EXISTS").one()
        self.assertEqual((r.applied, r.k, r.v), (False, 1, 1))
        r = s.execute("UPDATE cas SET v = 3 WHERE k = 1 IF v = 2").one()
        self.assertEqual((r.applied, r.v), (False, 1))
        self.assertTrue(s.execute("UPDATE cas SET v = 3 WHERE k = 1 IF v = 1").one().applied)
        self.assertFalse(s.execute("UPDATE cas SET v = 3 WHERE k = 9 IF EXISTS").one().applied)
        self.assertTrue(s.execute("DELETE FROM cas WHERE k = 1 IF EXISTS").one().applied)
        self.assertEqual(list(s.execute("SELECT * FROM cas")), [])
        p = s.prepare("UPDATE cas SET v = ? WHERE k = 5 IF v = ?")
        s.execute("INSERT INTO cas (k, v) VALUES (5, 0)")
        sessions, wins = [s] * 4, [0] * 4

        def bump(i):
            done = 0
            while done < 25:
                v = sessions[i].execute(SimpleStatement("SELECT v FROM cas WHERE k = 5",
                                                        consistency_level=ConsistencyLevel.SERIAL)).one().v
                if sessions[i].execute(p, [v + 1, v]).one().applied:
                    done += 1
            wins[i] = done

        threads = [threading.Thread(target=bump, args=(i,)) for i in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(s.execute("SELECT v FROM cas WHERE k = 5").one().v, 100)

    def test_batches(self):
        s = self.session
        s.execute("CREATE TABLE ba (k int, c int, v text, PRIMARY KEY (k, c))")
        p = s.prepare("INSERT INTO ba (k, c, v) VALUES (?, ?, ?)")
        for kind in (BatchType.LOGGED, BatchType.UNLOGGED):
            b = BatchStatement(batch_type=kind)
            for i in range(10):
                b.add(p, (int(kind.value), i, "x"))
            b.add(SimpleStatement("DELETE FROM ba WHERE k = %s AND c = 3"), (int(kind.value),))
            s.execute(b)
            self.assertEqual(len(list(s.execute("SELECT * FROM ba WHERE k = %s", [int(kind.value)]))), 9)
        s.execute("BEGIN BATCH USING TIMESTAMP 7 INSERT INTO ba (k, c, v) VALUES (8, 1, 'a'); "
                  "UPDATE ba SET v = 'b' WHERE k = 8 AND c = 2; APPLY BATCH")
        self.assertEqual([r[0] for r in s.execute("SELECT writetime(v) FROM ba WHERE k = 8")], [7, 7])

    def test_paging(self):
        s = self.session
        s.execute("CREATE TABLE pg (k int, c int, v text, PRIMARY KEY (k, c))")
        p = s.prepare("INSERT INTO pg (k, c, v) VALUES (1, ?, ?)")
        total = 100000
        for start in range(0, total, 500):
            b = BatchStatement(batch_type=BatchType.UNLOGGED)
            for c in range(start, start + 500):
                b.add(p, (c, "v%d" % c))
            s.execute_async(b).result()
        count = 0
        for r in s.execute("SELECT c, v FROM pg WHERE k = 1"):
            assert r.c == count and r.v == "v%d" % count, r
            count += 1
        self.assertEqual(count, total)
        got = [r.c for r in s.execute(SimpleStatement("SELECT c FROM pg WHERE k = 1 ORDER BY c DESC LIMIT 12345", fetch_size=1000))]
        self.assertEqual(got, list(range(total - 1, total - 1 - 12345, -1)))
        self.assertEqual(s.execute("SELECT count(*) FROM pg").one()[0], total)
        first = s.execute(SimpleStatement("SELECT c FROM pg WHERE k = 1", fetch_size=10))
        state = first.paging_state
        again = s.execute(SimpleStatement("SELECT c FROM pg WHERE k = 1", fetch_size=10), paging_state=state)
        self.assertEqual(again.current_rows[0].c, 10)

    def test_schema_events(self):
        s = self.session
        other, watcher = connect()
        try:
            s.execute("CREATE TABLE ev (k int PRIMARY KEY, v int)")
            deadline = time.time() + 10
            while "ev" not in other.metadata.keyspaces[KEYSPACE].tables and time.time() < deadline:
                time.sleep(0.05)
            self.assertIn("ev", other.metadata.keyspaces[KEYSPACE].tables)
            s.execute("ALTER TABLE ev ADD w text")
            while "w" not in other.metadata.keyspaces[KEYSPACE].tables["ev"].columns and time.time() < deadline:
                time.sleep(0.05)
            self.assertIn("w", other.metadata.keyspaces[KEYSPACE].tables["ev"].columns)
            s.execute("DROP TABLE ev")
            while "ev" in other.metadata.keyspaces[KEYSPACE].tables and time.time() < deadline:
                time.sleep(0.05)
            self.assertNotIn("ev", other.metadata.keyspaces[KEYSPACE].tables)
        finally:
            other.shutdown()

    def test_prepared_survives_alter(self):
        s = self.session
        s.execute("CREATE TABLE pa (k int PRIMARY KEY, v int)")
        p = s.prepare("SELECT * FROM pa WHERE k = ?")
        s.execute("INSERT INTO pa (k, v) VALUES (1, 1)")
        self.assertEqual(tuple(s.execute(p, [1]).one()), (1, 1))
        s.execute("ALTER TABLE pa ADD a text")
        s.execute("INSERT INTO pa (k, a, v) VALUES (1, 'x', 2)")
        r = s.execute(p, [1]).one()
        self.assertEqual((r.k, r.v, r.a), (1, 2, "x"))
        s.execute("ALTER TABLE pa DROP a")
        s.execute("ALTER TABLE pa ADD a text")
        self.assertIsNone(s.execute("SELECT a FROM pa WHERE k = 1").one().a)

    def test_errors(self):
        s = self.session
        s.execute("CREATE TABLE er (k int PRIMARY KEY, v int)")
        with self.assertRaises(AlreadyExists):
            s.execute("CREATE TABLE er (k int PRIMARY KEY)")
        with self.assertRaises(SyntaxException):
            s.execute("SELEC * FROM er")
        for text, want in [
            ("SELECT * FROM nope", "table nope does not exist"),
            ("SELECT zz FROM er", "Undefined column name zz in table"),
            ("INSERT INTO er (k, v) VALUES ('a', 1)", 'Invalid STRING constant \\(a\\) for "k" of type int'),
            ("INSERT INTO er (v) VALUES (1)", "Some partition key parts are missing: k"),
            ("SELECT * FROM er WHERE k > 1", "ALLOW FILTERING"),
            ("INSERT INTO er (k, v) VALUES (1, 1) USING TTL 999999999", "ttl is too large"),
        ]:
            with self.assertRaisesRegex(InvalidRequest, want, msg=text):
                s.execute(text)

    def test_rf3_on_one_node(self):
        """The seed program: RF 3 on one node, then RF 1."""
        s, ks = self.session, KEYSPACE + "_rf3"
        s.execute(f"CREATE KEYSPACE {ks} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}")
        try:
            s.execute(f"CREATE TABLE {ks}.users (id int PRIMARY KEY, name text)")
            insert = f"INSERT INTO {ks}.users (id, name) VALUES (%s, %s)"

            def at(text, level, args=()):
                return s.execute(SimpleStatement(text, consistency_level=level), args)

            at(insert, ConsistencyLevel.ONE, (1, "one"))
            self.assertEqual(at(f"SELECT name FROM {ks}.users WHERE id = 1", ConsistencyLevel.ONE).one().name, "one")
            for level in (ConsistencyLevel.QUORUM, ConsistencyLevel.LOCAL_QUORUM):
                for text, args in ((insert, (2, "two")), (f"SELECT * FROM {ks}.users WHERE id = 1", ())):
                    self.assertEqual(unavailable(lambda: at(text, level, args)), (level, 2, 1))
            self.assertEqual(unavailable(lambda: at(insert + " IF NOT EXISTS", ConsistencyLevel.ONE, (3, "three"))),
                             (ConsistencyLevel.QUORUM, 2, 1))
            s.execute(f"ALTER KEYSPACE {ks} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
            for level in (ConsistencyLevel.ONE, ConsistencyLevel.QUORUM, ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.ALL):
                at(insert, level, (4, "four"))
                self.assertEqual(at(f"SELECT name FROM {ks}.users WHERE id = 4", level).one().name, "four")
            self.assertTrue(at(insert + " IF NOT EXISTS", ConsistencyLevel.QUORUM, (5, "five")).one().applied)
            self.assertFalse(at(insert + " IF NOT EXISTS", ConsistencyLevel.QUORUM, (5, "six")).one().applied)
        finally:
            s.execute(f"DROP KEYSPACE {ks}")

    @unittest.skipUnless(os.environ.get("HELENUS_RESTART"), "HELENUS_RESTART is not set")
    def test_zz_reconnect(self):
        s = self.session
        s.execute("CREATE TABLE rc (k int PRIMARY KEY, v int)")
        p = s.prepare("INSERT INTO rc (k, v) VALUES (?, ?)")
        s.execute(p, [1, 1])
        subprocess.run(os.environ["HELENUS_RESTART"], shell=True, check=True)
        deadline = time.time() + 60
        while True:
            try:
                s.execute(p, [2, 2])
                break
            except Exception:
                if time.time() > deadline:
                    raise
                time.sleep(0.2)
        self.assertEqual(sorted(r.k for r in s.execute("SELECT k FROM rc")), [1, 2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
