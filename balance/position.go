package balance

import (
	"math/big"
	"math/bits"
)

// Position is where a token lies: its distance from the ring's minimum. 128
// bits hold the largest partitioner (2^127) and Murmur3, whose circumference
// of 2^64 is one too many for a uint64.
type Position struct{ hi, lo uint64 }

// At is a small Position.
func At(n uint64) Position { return Position{0, n} }

func (p Position) cmp(q Position) int {
	switch {
	case p == q:
		return 0
	case p.hi < q.hi || p.hi == q.hi && p.lo < q.lo:
		return -1
	}
	return 1
}

func (p Position) less(q Position) bool { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

func (p Position) isZero() bool { return p.hi|p.lo == 0 }

func (p Position) add(q Position) Position {
	lo, c := bits.Add64(p.lo, q.lo, 0)
	hi, _ := bits.Add64(p.hi, q.hi, c)
	return Position{hi, lo}
}

func (p Position) sub(q Position) Position {
	lo, b := bits.Sub64(p.lo, q.lo, 0)
	hi, _ := bits.Sub64(p.hi, q.hi, b)
	return Position{hi, lo}
}

// times is p*n; the caller knows that it fits.
func (p Position) times(n uint64) Position {
	hi, lo := bits.Mul64(p.lo, n)
	return Position{hi + p.hi*n, lo}
}

func (p Position) div(n uint64) (q Position, rest uint64) {
	q.hi, rest = p.hi/n, p.hi%n
	q.lo, rest = bits.Div64(rest, p.lo, n)
	return q, rest
}

// fraction is floor(p*num/den) for num <= den.
func (p Position) fraction(num, den uint64) Position {
	q, rest := p.div(den)
	hi, lo := bits.Mul64(rest, num)
	tail, _ := bits.Div64(hi, lo, den)
	return q.times(num).add(At(tail))
}

func (p Position) float() float64 { return float64(float64(p.hi)*(1<<64)) + float64(p.lo) }

func (p Position) big() *big.Int {
	n := new(big.Int).SetUint64(p.hi)
	n.Lsh(n, 64)
	return n.Add(n, new(big.Int).SetUint64(p.lo))
}

// positionOf cuts a non-negative number below 2^128.
func positionOf(n *big.Int) Position {
	lo := new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0)))
	return Position{new(big.Int).Rsh(n, 64).Uint64(), lo.Uint64()}
}

// positionOfFloat rounds a float in [0, 2^128) down.
func positionOfFloat(f float64) Position {
	if f < 1 {
		return Position{}
	}
	n, _ := new(big.Float).SetFloat64(f).Int(nil)
	return positionOf(n)
}

// after is the distance from a forward to b on a ring of that size.
func after(a, b, size Position) Position {
	if b.less(a) {
		return b.add(size).sub(a)
	}
	return b.sub(a)
}

// advance is p moved forward by d < size.
func advance(p, d, size Position) Position {
	p = p.add(d)
	if !p.less(size) {
		p = p.sub(size)
	}
	return p
}

// amount counts bytes in units of 10^-scale, scale being the model's: exact, and
// wide enough for 2^127 positions, 64-bit densities and all sums over a plan.
type amount [4]uint64

func (a amount) add(b amount) amount {
	var c uint64
	for i := range a {
		a[i], c = bits.Add64(a[i], b[i], c)
	}
	return a
}

func (a amount) sub(b amount) amount {
	var c uint64
	for i := range a {
		a[i], c = bits.Sub64(a[i], b[i], c)
	}
	return a
}

func (a amount) cmp(b amount) int {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

func (a amount) isZero() bool { return a == amount{} }

func (a amount) float() float64 {
	f := 0.0
	for i := len(a) - 1; i >= 0; i-- {
		f = float64(f*(1<<64)) + float64(a[i])
	}
	return f
}

func (a amount) big() *big.Int {
	n := new(big.Int)
	for i := len(a) - 1; i >= 0; i-- {
		n.Lsh(n, 64)
		n.Add(n, new(big.Int).SetUint64(a[i]))
	}
	return n
}

// spread is width positions at a density.
func spread(width Position, density uint64) amount {
	h0, l0 := bits.Mul64(width.lo, density)
	h1, l1 := bits.Mul64(width.hi, density)
	mid, c := bits.Add64(h0, l1, 0)
	return amount{l0, mid, h1 + c}
}
