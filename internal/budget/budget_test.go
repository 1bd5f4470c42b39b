package budget_test

import (
	"strings"
	"sync"
	"testing"

	"helenus/internal/budget"
)

func TestChargeCountsInEveryAncestor(t *testing.T) {
	root := budget.New("memory", 100)
	mem := root.Child("memtables", 60)
	one := mem.Child("one", budget.Unlimited)

	steps := []struct {
		on              *budget.Budget
		charge, release int64
		ok              bool
		root, mem, one  int64
	}{
		{on: one, charge: 50, ok: true, root: 50, mem: 50, one: 50},
		{on: one, charge: 11, ok: false, root: 50, mem: 50, one: 50},
		{on: root, charge: 45, ok: true, root: 95, mem: 50, one: 50},
		{on: mem, charge: 6, ok: false, root: 95, mem: 50, one: 50},
		{on: mem, charge: 5, ok: true, root: 100, mem: 55, one: 50},
		{on: root, charge: 0, ok: true, root: 100, mem: 55, one: 50},
		{on: one, release: 50, ok: true, root: 50, mem: 5, one: 0},
		{on: mem, release: 5, ok: true, root: 45, mem: 0, one: 0},
	}
	for i, s := range steps {
		if s.release > 0 {
			s.on.Release(s.release)
		} else if got := s.on.Charge(s.charge); got != s.ok {
			t.Fatalf("step %d: charge %d: %v", i, s.charge, got)
		}
		if root.Used() != s.root || mem.Used() != s.mem || one.Used() != s.one {
			t.Fatalf("step %d: used %d %d %d, want %d %d %d", i, root.Used(), mem.Used(), one.Used(), s.root, s.mem, s.one)
		}
	}
	if mem.Denied() != 1 || root.Denied() != 1 || one.Denied() != 0 {
		t.Fatalf("denied: %d %d %d", root.Denied(), mem.Denied(), one.Denied())
	}
}

func TestHugeChargeDoesNotOverflow(t *testing.T) {
	b := budget.New("b", budget.Unlimited)
	if !b.Charge(budget.Unlimited) || b.Charge(1) {
		t.Fatal("the sum of two charges wrapped around")
	}
}

func TestForceGoesBeyond(t *testing.T) {
	root := budget.New("memory", 10)
	c := root.Child("c", 5)
	c.Force(20)
	if c.Charge(1) || root.Charge(1) || root.Used() != 20 {
		t.Fatalf("used %d", root.Used())
	}
	c.Release(20)
	if !c.Charge(5) {
		t.Fatal("nothing was given back")
	}
}

func TestReleaseTooMuchPanics(t *testing.T) {
	b := budget.New("b", 10)
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	b.Release(1)
}

func TestNeverAboveTheLimit(t *testing.T) {
	root := budget.New("memory", 1000)
	var wg sync.WaitGroup
	for g := range 8 {
		child := root.Child("c", 400)
		wg.Go(func() {
			for i := range 5000 {
				n := int64((i*7 + g) % 90)
				if !child.Charge(n) {
					continue
				}
				if u := root.Used(); u > 1000 {
					t.Errorf("used %d", u)
				}
				child.Release(n)
			}
		})
	}
	wg.Wait()
	if root.Used() != 0 {
		t.Fatalf("left over: %d", root.Used())
	}
}

func TestWalkAndLimit(t *testing.T) {
	root := budget.New("memory", 10)
	a := root.Child("a", 5)
	root.Child("b", 5)
	a.Child("x", 5)
	a.SetLimit(0)
	var names []string
	root.Walk(func(b *budget.Budget) { names = append(names, b.Name()) })
	if got := strings.Join(names, " "); got != "memory memory.a memory.a.x memory.b" {
		t.Fatal(got)
	}
	if a.Charge(1) || a.Limit() != 0 {
		t.Fatal("SetLimit has no effect")
	}
}

func TestNoAllocation(t *testing.T) {
	c := budget.New("memory", 10).Child("c", 5)
	if n := testing.AllocsPerRun(100, func() { c.Charge(3); c.Release(3) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
