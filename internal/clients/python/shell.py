"""The Python driver as a program that does what it is told line by line.

internal/clients/shell_test.go lists the commands and drives it.
"""
import collections
import logging
import sys

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import HostStateListener, RoundRobinPolicy
from cassandra.query import SimpleStatement

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")


class Listener(HostStateListener):
    def __init__(self):
        self.counts = collections.Counter()

    def on_up(self, host):
        self.counts["up " + host.address] += 1

    def on_down(self, host):
        self.counts["down " + host.address] += 1

    def on_add(self, host):
        self.counts["new " + host.address] += 1

    def on_remove(self, host):
        self.counts["removed " + host.address] += 1


class Shell:
    cluster = None
    done = 0

    def connect(self, host, port, policy):
        if self.cluster:
            self.cluster.shutdown()
        options = {}
        if policy == "robin":  # by default it routes by token
            profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy())
            options["execution_profiles"] = {EXEC_PROFILE_DEFAULT: profile}
        self.cluster = Cluster([host], port=int(port), **options)
        self.session = self.cluster.connect()
        self.listener = Listener()
        self.cluster.register_listener(self.listener)
        return self.hosts()

    def hosts(self):
        return " ".join(sorted(h.address for h in self.cluster.metadata.all_hosts() if h.is_up))

    def at(self, level, *words):
        statement = SimpleStatement(" ".join(words), consistency_level=ConsistencyLevel.name_to_value[level])
        return " ".join(str(list(row)) for row in self.session.execute(statement)) or "ok"

    def requests(self, n, keyspace, level):
        insert = self.session.prepare(f"INSERT INTO {keyspace}.t (k, v) VALUES (?, ?)")
        select = self.session.prepare(f"SELECT v FROM {keyspace}.t WHERE k = ?")
        insert.consistency_level = select.consistency_level = ConsistencyLevel.name_to_value[level]
        for _ in range(int(n)):
            self.done += 1
            self.session.execute(insert, (f"python {self.done}", self.done))
            got = self.session.execute(select, (f"python {self.done}",)).one()
            if got is None or got.v != self.done:
                return f"error: row {self.done} is {got}"
        return "ok"

    def heard(self):
        return ", ".join(f"{what} {n}" for what, n in sorted(self.listener.counts.items()))


shell = Shell()
for line in sys.stdin:
    command, *args = line.split()
    try:
        answer = getattr(shell, command)(*args)
    except Exception as e:
        if isinstance(e, NoHostAvailable) and len(e.errors) == 1:
            e, = e.errors.values()
        answer = f"error: {type(e).__name__}: {e}".replace("\n", " ")
    print(answer, flush=True)
