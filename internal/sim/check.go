package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"helenus/internal/meta"
)

// Epochs judges metadata: at the same epoch every node has the same, and no node
// goes back.
type Epochs struct {
	mu    sync.Mutex // guards what follows
	known map[meta.Epoch]said
	at    map[string]meta.Epoch  // by node
	last  map[string]*meta.State // by node: what was looked at already
}

// said is who was first seen with an epoch's metadata.
type said struct {
	by     string
	digest [sha256.Size]byte
}

// Observe notes what a node has.
func (e *Epochs) Observe(node string, state *meta.State) error {
	e.mu.Lock()
	same := e.last[node] == state
	if e.last == nil {
		e.last = map[string]*meta.State{}
	}
	e.last[node] = state
	e.mu.Unlock()
	if same {
		return nil
	}
	return e.observe(node, state.Epoch, sha256.Sum256(meta.EncodeState(nil, state)))
}

func (e *Epochs) observe(node string, epoch meta.Epoch, digest [sha256.Size]byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known, e.at = map[meta.Epoch]said{}, map[string]meta.Epoch{}
	}
	if last := e.at[node]; epoch < last {
		return fmt.Errorf("%s has gone from epoch %d back to %d", node, last, epoch)
	}
	e.at[node] = epoch
	if epoch == 0 {
		return nil // it is in no cluster yet
	}
	first, ok := e.known[epoch]
	if !ok {
		e.known[epoch] = said{node, digest}
		return nil
	}
	if first.digest != digest {
		return fmt.Errorf("%s and %s have different metadata at epoch %d: %x… and %x…", first.by, node, epoch, first.digest[:4], digest[:4])
	}
	return nil
}

// Copy is what one replica holds: partitions as text, by key.
type Copy struct {
	Node       string
	Partitions map[string]string
}

// differencesMax bounds what Convergence tells.
const differencesMax = 10

// Convergence tells where replicas differ. owners names the nodes that keep a
// key; nil: every node keeps all.
func Convergence(copies []Copy, owners func(key string) []string) error {
	byNode := make(map[string]map[string]string, len(copies))
	keys := map[string]bool{}
	var all []string
	for _, c := range copies {
		byNode[c.Node] = c.Partitions
		all = append(all, c.Node)
		for k := range c.Partitions {
			keys[k] = true
		}
	}
	var errs []error
	count := 0
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		names := all
		if owners != nil {
			names = owners(key)
		}
		for _, name := range names[1:] {
			a, b := byNode[names[0]][key], byNode[name][key]
			if a == b {
				continue
			}
			if count++; count <= differencesMax {
				errs = append(errs, fmt.Errorf("replicas of %s differ:\n%s has %q\n%s has %q", key, names[0], a, name, b))
			}
		}
	}
	if count > differencesMax {
		errs = append(errs, fmt.Errorf("and %d more", count-differencesMax))
	}
	return errors.Join(errs...)
}
