package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"helenus"
	"helenus/agent/coord"
	"helenus/agent/gossip"
	"helenus/agent/hint"
	"helenus/agent/replica"
	"helenus/agent/snitch"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/ring"
	"helenus/store/vfs"
)

// placeTimeout bounds how long a start waits for a cloud to say where it is.
const placeTimeout = 30 * time.Second

// findPlace asks the snitch where this node stands.
func (a *Agent) findPlace() error {
	broadcast, err := resolve(a.cfg.BroadcastAddress)
	if err != nil {
		return fmt.Errorf("agent: broadcast_address: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), placeTimeout)
	defer cancel()
	a.place, err = snitch.New(ctx, snitch.Options{Name: a.cfg.Snitch, ReadFile: a.readFile, Broadcast: broadcast, Dial: a.env.Net.Dial})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	for _, note := range a.place.Notes() {
		a.env.Log.Info(note)
	}
	return nil
}

func (a *Agent) readFile(name string) ([]byte, error) {
	if a.env.ReadFile == nil {
		return nil, fs.ErrNotExist
	}
	return a.env.ReadFile(name)
}

// findKey reads the key of gossip.
func (a *Agent) findKey() error {
	name := a.cfg.GossipKeyFile
	if name == "" {
		return nil
	}
	text, err := a.readFile(name)
	if err == nil {
		a.gossipKey, err = gossip.ParseKey(text)
	}
	if err != nil {
		return fmt.Errorf("agent: gossip_key_file %s: %w", name, err)
	}
	return nil
}

// identity is what this node says of itself to others.
func (a *Agent) identity() wire.Identity {
	id := a.cluster.Identity()
	id.Key = gossip.KeyID(a.gossipKey)
	return id
}

// openGossip makes this node's end of gossip; it is silent until Run.
func (a *Agent) openGossip() error {
	now := a.env.Now()
	generation, err := nextGeneration(a.env.FS, filepath.Join(a.dataDir(), "metadata"), now)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if back := time.Duration(generation-now.Unix()) * time.Second; back > clockBackMax {
		a.env.Log.Warn("the clock is behind that of the last start; writes may lose to older ones until it has caught up", "behind", back)
	}
	a.generation = generation
	a.gossip, err = gossip.New(gossip.Options{Self: a.self(), Generation: generation, Peers: a.peers, Seeds: a.seeds,
		Epoch: func() meta.Epoch { return a.cluster.State().Epoch }, Heard: a.cluster.Heard,
		Cluster: func() wire.ClusterID { return a.cluster.Identity().Cluster },
		Rand:    a.env.Rand, Log: a.env.Log, Now: a.env.Now, PhiConvictThreshold: a.cfg.PhiConvictThreshold,
		Members: a.env.Members, Net: (*near)(a), Key: a.gossipKey})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// generationBytesMax bounds its file: a number and the end of its line.
const generationBytesMax = 32

// clockBackMax is a difference that several starts in a second make.
const clockBackMax = time.Minute

// nextGeneration is the number of this start: the time, or more than at the
// start before if the clock was set back. By more than a year it is refused: the
// other nodes would believe neither of the two numbers if theirs is the other
// time, and only an operator knows which clock was wrong.
func nextGeneration(disk vfs.FS, dir string, now time.Time) (int64, error) {
	name := filepath.Join(dir, "generation")
	var before int64
	text, err := vfs.ReadFile(disk, name, generationBytesMax)
	switch {
	case err == nil:
		if before, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil {
			return 0, fmt.Errorf("%s: %q is not a number; remove the file if the clock is right", name, text)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	if before-now.Unix() > gossip.GenerationAhead {
		return 0, fmt.Errorf("%s: the last start was at %s, and the clock says %s: correct the clock, or remove the file if it was wrong then",
			name, time.Unix(before, 0).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	next := max(now.Unix(), before+1)
	return next, vfs.WriteFile(disk, name, []byte(strconv.FormatInt(next, 10)+"\n"))
}

// self is how other nodes call this one.
func (a *Agent) self() wire.Target { return wire.Target{ID: a.cluster.Self(), Addr: a.node.Broadcast} }

// peers are the members, by metadata.
func (a *Agent) peers() []wire.Target {
	var out []wire.Target
	for _, n := range a.cluster.State().Nodes {
		if n.HostID != a.cluster.Self() {
			out = append(out, wire.Target{ID: n.HostID, Addr: n.Broadcast})
		}
	}
	return out
}

// findSeeds resolves seed_provider's addresses.
func (a *Agent) findSeeds() (err error) {
	if a.seeds, err = resolveSeeds(a.cfg.Seeds, a.cfg.StoragePort); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// resolveSeeds turns hosts, with or without a port, into addresses.
func resolveSeeds(texts []string, storagePort int) ([]helenus.Endpoint, error) {
	var out []helenus.Endpoint
	for _, text := range texts {
		if at, err := netip.ParseAddrPort(text); err == nil {
			out = append(out, at)
			continue
		}
		host, port := text, storagePort
		if h, p, ok := strings.Cut(text, ":"); ok && !strings.Contains(p, ":") {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("seed %s: %q is not a port", text, p)
			}
			host, port = h, int(n)
		}
		addr, err := resolve(host)
		if err != nil {
			return nil, fmt.Errorf("seed %s: %w", text, err)
		}
		out = append(out, netip.AddrPortFrom(addr, uint16(port)))
	}
	return out, nil
}

// readQueueMax bounds the reads that wait for the disk.
const readQueueMax = 4096

// openReplica makes this node's share of requests.
func (a *Agent) openReplica() error {
	a.replica = replica.New(replica.Options{Store: a.store, Readers: a.cfg.ConcurrentReads, QueueMax: readQueueMax,
		States: &a.applied, Behind: a.behind, Truncated: func(ctx context.Context, id schema.TableID) error { return a.hints.Truncated(ctx, id) }, Made: a.tables,
		TombstonesMax: a.cfg.TombstoneFail})
	if a.cfg.DynamicSnitch {
		a.dynamic = snitch.NewDynamic(snitch.DynamicOptions{Self: a.cluster.Self(), Datacenter: a.node.Datacenter, Rack: a.node.Rack,
			UpdateInterval: a.cfg.DynamicSnitchUpdateInterval, ResetInterval: a.cfg.DynamicSnitchResetInterval, BadnessThreshold: a.cfg.DynamicSnitchBadness})
	}
	return nil
}

// openHints finds what is kept for other nodes.
func (a *Agent) openHints() (err error) {
	settings := hint.Settings{Enabled: a.cfg.HintedHandoff, Window: a.cfg.MaxHintWindow, BytesPerHostMax: a.cfg.HintsPerHostBytesMax, BytesPerSec: a.cfg.HintBytesPerSec}
	for _, dc := range a.cfg.HintsDisabledDatacenters {
		settings.DisabledDCs = append(settings.DisabledDCs, helenus.Datacenter(dc))
	}
	a.handoff.Store(&settings)
	dir := a.cfg.HintsDirectory
	if dir == "" {
		dir = filepath.Join(filepath.Dir(a.cfg.CommitLogDirectory), "hints")
	}
	a.hints, err = hint.Open(hint.Options{FS: a.env.FS, Dir: dir, Self: a.cluster.Self(), Settings: func() hint.Settings { return *a.handoff.Load() },
		State: a.applied.State, Liveness: a.gossip, Replica: a.replica, Behind: a.behind, Now: a.env.Now, Log: a.env.Log,
		SegmentBytes: min(a.cfg.HintFileBytesMax, hintSegmentBytesMax), BufferBytes: a.cfg.InFlightBytesMax})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// hintSegmentBytesMax: what has been delivered goes away file by file.
const hintSegmentBytesMax = 32 << 20

// connectTimeout is shorter than write_request_timeout: a node that cannot be
// reached is the reason of a failure, not one more time-out at the same moment.
const connectTimeout = 1500 * time.Millisecond

// openWire hands the verbs of all rooms to the node's end of messages, and that
// to the rooms.
func (a *Agent) openWire() error {
	var verbs []wire.Verb
	for _, room := range []interface{ Verbs() []wire.Verb }{a.cluster, a.gossip, a.replica, a.coord, a.hints} {
		verbs = append(verbs, room.Verbs()...)
	}
	var err error
	a.wire, err = wire.New(wire.Options{Self: a.self(), Identity: a.identity, Verbs: verbs, Net: (*near)(a), Rand: a.env.Rand,
		Log: a.env.Log, Budget: a.budget.Child("messages", a.cfg.InFlightBytesMax), Doors: a.gossip.Door, ConnectTimeout: connectTimeout})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.replica.Connect(a.wire)
	a.coord.Connect(a.wire)
	return nil
}

// behind is told that another node knows newer metadata.
func (a *Agent) behind(from helenus.HostID, e meta.Epoch) {
	if n := a.cluster.State().Node(from); n != nil {
		a.cluster.Heard(wire.Target{ID: from, Addr: n.Broadcast}, e)
	}
}

func (a *Agent) timeouts() coord.Timeouts {
	return coord.Timeouts{Read: a.cfg.ReadTimeout, Range: a.cfg.RangeTimeout, Write: a.cfg.WriteTimeout, Truncate: a.cfg.TruncateTimeout}
}

// proximity orders replicas; nil leaves it to coord.
func (a *Agent) proximity() coord.Proximity {
	if a.dynamic == nil {
		return nil
	}
	return a.dynamic
}

// loadPeriod is how often other nodes are told how much data this one has.
const loadPeriod = time.Minute

// tell keeps what this node says of itself true.
func (a *Agent) tell(ctx context.Context) error {
	ticker := time.NewTicker(loadPeriod)
	defer ticker.Stop()
	for {
		changed := a.applied.Changed()
		a.say()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
	}
}

// say tells others what this node is now.
func (a *Agent) say() {
	state := a.applied.State()
	own := gossip.Own{LoadBytes: a.store.LoadBytes(), Schema: state.SchemaVersion(), Datacenter: a.node.Datacenter, Rack: a.node.Rack,
		Release: a.node.Release, RPCReady: a.Address() != "", Native: a.node.Native}
	if n := state.Node(a.cluster.Self()); n != nil {
		own.Status = gossipStatus(n.State) + "," + state.Partitioner.Format(n.Tokens[0])
	}
	a.gossip.Set(own)
}

// gossipStatus is Cassandra's word for a member's state.
func gossipStatus(s ring.NodeState) string {
	return map[ring.NodeState]string{ring.Normal: "NORMAL", ring.Joining: "BOOT", ring.Leaving: "LEAVING", ring.Moving: "MOVING"}[s]
}

// peerSchema is the schema that another node has come to, as it says.
func (a *Agent) peerSchema(id helenus.HostID) ([16]byte, bool) {
	e := a.gossip.View().Endpoint(id)
	if e == nil {
		return [16]byte{}, false
	}
	version := e.Schema()
	return version, version != [16]byte{}
}

// clientPeers is the Agent as server sees it for events about other nodes.
type clientPeers Agent

// Serving implements server.Peers.
func (p *clientPeers) Serving(id helenus.HostID) (start int64) {
	e := p.gossip.View().Endpoint(id)
	if e == nil || !e.Alive() || !e.RPCReady() {
		return 0
	}
	return e.Generation
}

// Changed implements server.Peers.
func (p *clientPeers) Changed() <-chan struct{} { return p.gossip.Changed() }
