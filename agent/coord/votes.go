package coord

// vote is what one replica that was asked to read has said.
type vote struct {
	waiting    bool // for an answer,
	asksData   bool // which is to hold data
	data       bool // it has been given
	summed     bool // its digest has
	sum        [16]byte
	failed     bool
	overloaded bool
	reason     uint16
}

// verdict is how a read goes on.
type verdict uint8

const (
	undecided verdict = iota // more may come
	agreed                   // enough have answered, and one speaks for all, or all have sent data
	differing                // enough have answered, and it takes the data of all of them
	short                    // those that are left cannot make it enough
)

// decide counts votes. In a full read only data counts; else one answer with
// data and digests of the others do. one is the replica that speaks for all.
func decide(votes []vote, blockFor int, full bool) (v verdict, one int) {
	answered, waiting, dataComes, equal := 0, 0, false, true
	one = -1
	var sum *[16]byte
	for i := range votes {
		o := &votes[i]
		if o.waiting && (o.asksData || !full) {
			waiting++
			dataComes = dataComes || o.asksData
		}
		if !o.data && (full || !o.summed) {
			continue
		}
		answered++
		if o.data && one < 0 {
			one = i
		}
		if o.summed {
			equal = equal && (sum == nil || *sum == o.sum)
			sum = &o.sum
		}
	}
	switch {
	case answered+waiting < blockFor:
		return short, -1
	case answered < blockFor:
		return undecided, -1
	case full:
		return agreed, -1
	case !equal:
		return differing, -1
	case one >= 0:
		return agreed, one
	case dataComes:
		return undecided, -1
	}
	return differing, -1
}
