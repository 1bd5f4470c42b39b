package wire

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Lane is a connection of its own to each peer, so that nothing small waits
// behind something large.
type Lane uint8

// The lanes.
const (
	Urgent Lane = iota // gossip, metadata
	Small              // reads and writes
	Large              // big answers
	laneCount
)

func (l Lane) String() string {
	switch l {
	case Urgent:
		return "urgent"
	case Small:
		return "small"
	case Large:
		return "large"
	}
	return fmt.Sprintf("lane %d", uint8(l))
}

// Message is a question or an answer; a pointer, as wire pools what it decodes.
type Message interface {
	// AppendTo appends the encoding.
	AppendTo(dst []byte) []byte
	// Decode replaces the whole value. It may keep pointing into b for as long
	// as the message is valid.
	Decode(b []byte) error
}

// VerbID names a verb on the wire; an id is never given to another verb.
type VerbID uint16

// verbIDMax bounds the table, which is indexed by id.
const verbIDMax = 1023

// Verb is one kind of question.
type Verb struct {
	ID      VerbID
	Name    string
	Lane    Lane
	Timeout time.Duration // of calls that say none
	// NewRequest and NewResponse make a value to decode into. Nil: the message
	// is always empty, and nil at its receiver.
	NewRequest  func() Message
	NewResponse func() Message
	// Handle answers a request, now or later, by exactly one of its methods
	// Reply, Fail and Drop. It runs on the connection's goroutine and must not
	// wait. Nil: this node only asks.
	Handle func(*Request)
}

// verb is an entry of the table.
type verb struct {
	Verb
	requests  sync.Pool // Message
	responses sync.Pool // Message
	stats     verbStats
}

type verbStats struct {
	called, local, timedOut, overloaded, broken, failed, late atomic.Uint64
	handled, expired, unanswered, refused                     atomic.Uint64
}

func newTable(in []Verb) ([]*verb, error) {
	var out []*verb
	names := make(map[string]bool)
	for _, v := range in {
		switch {
		case v.ID > verbIDMax:
			return nil, fmt.Errorf("wire: verb %s: id %d is above %d", v.Name, v.ID, verbIDMax)
		case v.Name == "" || names[v.Name]:
			return nil, fmt.Errorf("wire: verb %d: the name %q is empty or taken", v.ID, v.Name)
		case v.Lane >= laneCount:
			return nil, fmt.Errorf("wire: verb %s: there is no %s", v.Name, v.Lane)
		case v.Timeout <= 0:
			return nil, fmt.Errorf("wire: verb %s: a time-out of %v", v.Name, v.Timeout)
		}
		names[v.Name] = true
		for len(out) <= int(v.ID) {
			out = append(out, nil)
		}
		if out[v.ID] != nil {
			return nil, fmt.Errorf("wire: verbs %s and %s have the id %d", out[v.ID].Name, v.Name, v.ID)
		}
		out[v.ID] = &verb{Verb: v}
	}
	return out, nil
}

// decode fills a value from the pool.
func decode(pool *sync.Pool, make func() Message, b []byte) (Message, error) {
	if make == nil {
		if len(b) > 0 {
			return nil, fmt.Errorf("%d bytes where none belong", len(b))
		}
		return nil, nil
	}
	m, ok := pool.Get().(Message)
	if !ok {
		m = make()
	}
	if err := m.Decode(b); err != nil {
		pool.Put(m)
		return nil, err
	}
	return m, nil
}

func recycle(pool *sync.Pool, m Message) {
	if m != nil {
		pool.Put(m)
	}
}
