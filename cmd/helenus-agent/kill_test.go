package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// register is one row that a writer counts up: acked is the last value whose
// write was acknowledged, tried the last one sent.
type register struct {
	key, row     int32
	acked, tried int64
	deleted      bool // the last acknowledged write was a DELETE
	removing     bool // the last one tried was
}

const (
	killWriters   = 8
	killRegisters = 50 // of each writer
)

// killRounds is few in everyday tests; HELENUS_KILL_ROUNDS asks for more.
func killRounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("HELENUS_KILL_ROUNDS")); err == nil {
		return n
	}
	if testing.Short() {
		t.Skip("SKIP: kills a real process several times; not with -short")
	}
	return 5
}

// TestKillLosesNothing kills the agent under load, starts it again and looks
// for every acknowledged write with its newest value.
func TestKillLosesNothing(t *testing.T) {
	rounds := killRounds(t)
	p := newProcess(t, "memtable_heap_space: 1MiB\ncommitlog_segment_size: 1MiB\ncommitlog_total_space: 8MiB\n")
	p.start()
	c := p.session()
	p.query(c, "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
	p.query(c, "CREATE TABLE k.registers (key int, row int, value bigint, filler text, PRIMARY KEY (key, row))")
	registers := make([][]*register, killWriters)
	for w := range registers {
		for i := range killRegisters {
			registers[w] = append(registers[w], &register{key: int32(w*1000 + i%7), row: int32(i)})
		}
	}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	for round := range rounds {
		p.loadAndKill(registers, time.Duration(200+rng.IntN(800))*time.Millisecond, round)
		p.start()
		p.check(registers, round)
	}
}

// loadAndKill writes from all writers until the agent is killed under them.
func (p *process) loadAndKill(registers [][]*register, after time.Duration, round int) {
	p.t.Helper()
	var writers sync.WaitGroup
	for w := range registers {
		c := p.session()
		writers.Add(1)
		go func() {
			defer writers.Done()
			defer c.Close()
			write(c, registers[w], rand.New(rand.NewPCG(uint64(round), uint64(w))))
		}()
	}
	wait(after)
	p.kill()
	writers.Wait()
}

// write counts registers up, and now and then deletes one, until an error.
func write(c *client.Conn, registers []*register, rng *rand.Rand) {
	ctx := context.Background()
	insert, err := c.Prepare(ctx, "INSERT INTO k.registers (key, row, value, filler) VALUES (?, ?, ?, ?)", "")
	if err != nil {
		return
	}
	remove, err := c.Prepare(ctx, "DELETE FROM k.registers WHERE key = ? AND row = ?", "")
	if err != nil {
		return
	}
	filler := client.Text(string(make([]byte, 500)))
	for {
		r := registers[rng.IntN(len(registers))]
		if r.acked > 0 && rng.IntN(10) == 0 {
			r.tried++
			r.removing = true
			if _, err := c.Execute(ctx, remove, int32Value(r.key), int32Value(r.row)); err != nil {
				return
			}
			r.acked, r.deleted = r.tried, true
			continue
		}
		r.tried++
		r.removing = false
		if _, err := c.Execute(ctx, insert, int32Value(r.key), int32Value(r.row), int64Value(r.tried), filler); err != nil {
			return
		}
		r.acked, r.deleted = r.tried, false
	}
}

func int32Value(v int32) proto.Value {
	return proto.Value{Bytes: binary.BigEndian.AppendUint32(nil, uint32(v))}
}

func int64Value(v int64) proto.Value {
	return proto.Value{Bytes: binary.BigEndian.AppendUint64(nil, uint64(v))}
}

// check reads every register. A value may be newer than the last acknowledged
// one only if it is the very next, whose answer the kill swallowed.
func (p *process) check(registers [][]*register, round int) {
	p.t.Helper()
	c := p.session()
	defer c.Close()
	total := int64(0)
	for _, each := range registers {
		for _, r := range each {
			rows := p.query(c, fmt.Sprintf("SELECT value FROM k.registers WHERE key = %d AND row = %d", r.key, r.row))
			var got int64
			if len(rows) == 1 {
				got = int64(binary.BigEndian.Uint64(rows[0][0]))
			}
			total += r.acked
			switch {
			case got == r.tried && got > 0: // acknowledged, or the answer was lost
			case len(rows) == 0 && (r.acked == 0 || r.deleted || (r.tried > r.acked && r.removing)):
			case got == r.acked && !r.deleted:
			default:
				p.t.Fatalf("round %d: register %d/%d: read %d (rows %d), acknowledged %d (deleted %v), tried %d",
					round, r.key, r.row, got, len(rows), r.acked, r.deleted, r.tried)
			}
			// From here on the value is known again.
			r.acked, r.tried, r.deleted = max(got, r.acked), max(r.tried, got), len(rows) == 0
		}
	}
	p.t.Logf("round %d: %d acknowledged writes so far, all there", round, total)
}
