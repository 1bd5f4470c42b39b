"""Writes a story by chance: python3 chance.py SEED > chance.txt, then have a
real Cassandra answer it (see story_test.go)."""

import random
import sys

random.seed(int(sys.argv[1]))
ROW = "p = {p} AND c = {c} AND d = {d} AND e = {e}"
P, C, E = (lambda: random.randint(1, 4)), (lambda: random.randint(1, 4)), (lambda: random.randint(1, 3))
D = lambda: "'%s'" % random.choice("abc")
OP = lambda: random.choice(["<", "<=", ">", ">="])
KEY = lambda: random.choice("xyz")


def row():
    return ROW.format(p=P(), c=C(), d=D(), e=E())


def write():
    ts = f"USING TIMESTAMP {random.randint(1, 30)}"
    return random.choices([
        lambda: f"INSERT INTO g (p, c, d, e, v) VALUES ({P()}, {C()}, {D()}, {E()}, {random.randint(1, 9)}) {ts}",
        lambda: f"UPDATE g {ts} SET v = {random.choice(['null', '5', '6'])} WHERE {row()}",
        lambda: f"UPDATE g {ts} SET s = {random.choice(['null', '5', '6'])} WHERE p = {P()}",
        lambda: f"UPDATE g {ts} SET m = m + {{'{KEY()}': {E()}}} WHERE {row()}",
        lambda: f"UPDATE g {ts} SET m = {{'{KEY()}': {E()}}} WHERE {row()}",
        lambda: f"UPDATE g {ts} SET m['{KEY()}'] = null WHERE {row()}",
        lambda: f"DELETE FROM g {ts} WHERE {row()}",
        lambda: f"DELETE FROM g {ts} WHERE p = {P()} AND c = {C()} AND d {OP()} {D()}",
        lambda: f"DELETE FROM g {ts} WHERE p = {P()} AND c > {C()} AND c <= {C() + 1}",
        lambda: f"DELETE FROM g {ts} WHERE p = {P()} AND (c, d) {OP()} ({C()}, {D()})",
        lambda: f"DELETE FROM g {ts} WHERE p IN ({P()}, {P()}) AND (c, d) IN (({C()}, {D()}), ({C()}, {D()}))",
        lambda: f"DELETE m['x'], v FROM g {ts} WHERE {row()}",
        lambda: f"DELETE FROM g USING TIMESTAMP {random.randint(1, 5)} WHERE p = {P()}",
    ], [55, 7, 4, 6, 4, 2, 5, 4, 3, 3, 2, 2, 3])[0]()


def rows():
    return random.choices([
        lambda: [],
        lambda: [f"c = {C()}"],
        lambda: [f"c {OP()} {C()}"],
        lambda: [f"c > {random.randint(0, 2)}", f"c <= {C()}"],
        lambda: [f"c IN ({C()}, {C()})", f"d {OP()} {D()}"],
        lambda: [f"c = {C()}", f"d IN ({D()}, {D()})", f"e {OP()} {E()}"],
        lambda: [f"(c, d) {OP()} ({C()}, {D()})"],
        lambda: [f"(c, d, e) > ({C()}, {D()}, {E()})", f"(c, d) <= ({C()}, {D()})"],
        lambda: [f"(c, d) IN (({C()}, {D()}), ({C()}, {D()}), ({C()}, {D()}))"],
        lambda: [f"(c, d) IN (({C()}, {D()}), ({C()}, {D()}))", f"e {OP()} {E()}"],
        lambda: [f"c = {C()}", f"(d, e) {OP()} ({D()}, {E()})"],
        lambda: [f"c = {C()}", f"d = {D()}", f"e IN ({E()}, {E()})"],
        lambda: [f"d {OP()} {D()}"],
    ], [20, 15, 10, 7, 8, 8, 10, 6, 8, 4, 6, 4, 3])[0]()


def select():
    columns = random.choice(["p, c, d, e, v", "*", "p, c, s", "d, e, m, v", "p, c, d, e, v, writetime(v)", "count(*)", "p, s",
                             "max(c), sum(v)", "DISTINCT p, s"])
    key = random.choices([[f"p = {P()}"], [f"p IN ({P()}, {P()}, {P()})"], [f"token(p) {random.choice(['>', '<='])} token({P()})"], []],
                         [45, 25, 15, 15])[0]
    where = key + rows()
    by_key = key != [] and key[0].startswith("p ")
    filtering = not by_key or random.random() < .2
    if filtering and random.random() < .5:
        where.append(random.choice([f"v > {E()}", "v = 5", "s = 5", "m CONTAINS 1", "m CONTAINS KEY 'x'", "m['y'] = 2"]))
    text = f"SELECT {columns} FROM g" + (" WHERE " + " AND ".join(where) if where else "")
    if by_key and random.random() < .4:
        text += " ORDER BY " + random.choice(["c DESC", "c ASC", "c DESC, d ASC", "c ASC, d DESC, e ASC", "c DESC, d ASC, e DESC"])
    if random.random() < .2:
        text += f" PER PARTITION LIMIT {random.randint(1, 4)}"
    if random.random() < .25:
        text += f" LIMIT {random.randint(1, 7)}"
    return text + (" ALLOW FILTERING" if filtering else "")


def block(statements):
    print("cql\n" + ";\n".join(statements) + ";\n----\n")


print("# Made by chance: chance.py " + sys.argv[1] + "\n")
block(["CREATE TABLE g (p int, c int, d text, e int, s int static, v int, m map<text, int>, PRIMARY KEY (p, c, d, e)) "
       "WITH CLUSTERING ORDER BY (c ASC, d DESC, e ASC)"])
for n in range(5):
    block([write() for _ in range(60 if n == 0 else 15)])
    block([select() for _ in range(30)])
