package config

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"helenus/internal/yaml"
)

// ignoredNames are Cassandra's other settings, a name a line: they belong to
// the Java process or to what is not built yet, and are passed over.
//
//go:embed ignored.txt
var ignoredNames string

// envPrefix and the upper-case name make an environment variable.
const envPrefix = "HELENUS_"

// Sources is all that is said about a node. Flags win over Env, Env over File.
type Sources struct {
	FileName string // for messages
	File     []byte
	Env      []string          // as os.Environ has it
	Flags    map[string]string // by setting name
}

// Origin tells where a setting's value came from.
type Origin struct {
	Name  string
	Value string
	From  string // "default", "cassandra.yaml:12", "HELENUS_CLUSTER_NAME", "flag"
}

// Loaded is a configuration with its history.
type Loaded struct {
	Config  Config
	Origins []Origin // sorted by name, one for each setting
	Notes   []string // lines for the log
}

// Names lists the settings that mean something here.
func Names() []string {
	var names []string
	for _, s := range settings(&Config{}) {
		names = append(names, s.name)
	}
	sort.Strings(names)
	return names
}

// Load reads all sources. Every mistake is reported, not just the first.
func Load(src Sources) (*Loaded, error) {
	l := &loader{src: src, byName: map[string]*setting{}, oldNames: map[string]oldName{}, origins: map[string]Origin{}}
	for _, s := range settings(&l.config) {
		l.byName[s.name] = s
		for _, o := range s.old {
			l.oldNames[o.name] = oldName{s.name, o.unit}
		}
		l.set(s.name, value{text: s.fallback}, "default")
	}
	l.readFile()
	l.readEnv()
	l.readFlags()
	l.decideSync()
	l.check()
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	out := &Loaded{Config: l.config, Notes: l.notes}
	for _, name := range Names() {
		out.Origins = append(out.Origins, l.origins[name])
	}
	return out, nil
}

// loader carries a load from source to source.
type loader struct {
	src      Sources
	config   Config
	byName   map[string]*setting
	oldNames map[string]oldName
	origins  map[string]Origin
	notes    []string
	errs     []error
}

func (l *loader) fail(from, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s: %s", from, fmt.Sprintf(format, args...)))
}

func (l *loader) set(name string, v value, from string) {
	s := l.byName[name]
	if err := s.set(v); err != nil {
		l.fail(from, "%s: %v", name, err)
		return
	}
	shown, err := v.scalar()
	if err != nil {
		texts, _ := v.list()
		shown = strings.Join(texts, ",")
	}
	l.origins[name] = Origin{name, shown + v.unit, from}
}

func (l *loader) readFile() {
	root, err := yaml.Parse(l.src.File)
	if err != nil {
		l.fail(l.src.FileName, "%v", err)
		return
	}
	entries, err := root.Entries()
	if err != nil {
		l.fail(l.src.FileName, "%v", err)
		return
	}
	ignored := map[string]bool{}
	for _, name := range strings.Fields(ignoredNames) {
		ignored[name] = true
	}
	var passed []string
	seen := map[string]string{}
	for _, e := range entries {
		from := fmt.Sprintf("%s:%d", l.src.FileName, e.Line)
		name, unit := l.known(e.Key)
		group, _, _ := strings.Cut(name, ".")
		switch {
		case l.byName[name] != nil && seen[name] != "":
			l.fail(from, "%s and %s are the same setting", e.Key, seen[name])
		case l.byName[name] != nil:
			seen[name] = e.Key
			// A key with nothing behind it says nothing.
			if !e.Value.IsNull() {
				l.set(name, value{node: e.Value, unit: unit}, from)
			}
		case ignored[group] || ignored[e.Key]:
			passed = append(passed, e.Key)
		default:
			l.fail(from, "unknown setting %s%s", e.Key, l.nearest(e.Key, ignored))
		}
	}
	if len(passed) > 0 {
		l.notes = append(l.notes, fmt.Sprintf("%s: %d settings mean nothing here and are passed over: %s",
			l.src.FileName, len(passed), strings.Join(passed, ", ")))
	}
}

// oldSuffixes are the units that stood in names before 4.1.
var oldSuffixes = []oldName{
	{"_in_ms", "ms"}, {"_in_secs", "s"}, {"_in_sec", "s"}, {"_in_minutes", "m"}, {"_in_mb", "MiB"}, {"_in_kb", "KiB"}, {"_in_bytes", "B"},
}

// known turns an old name into today's and its unit.
func (l *loader) known(name string) (string, string) {
	if l.byName[name] != nil {
		return name, ""
	}
	if o, ok := l.oldNames[name]; ok {
		return o.name, o.unit
	}
	for _, suffix := range oldSuffixes {
		if stem, ok := strings.CutSuffix(name, suffix.name); ok {
			return stem, suffix.unit
		}
	}
	return name, ""
}

func (l *loader) readEnv() {
	for _, pair := range l.src.Env {
		variable, text, _ := strings.Cut(pair, "=")
		upper, ok := strings.CutPrefix(variable, envPrefix)
		if !ok {
			continue
		}
		if name := strings.ToLower(upper); l.byName[name] != nil {
			l.set(name, value{text: text}, variable)
		} else {
			l.notes = append(l.notes, fmt.Sprintf("%s names no setting%s", variable, l.nearest(name, nil)))
		}
	}
}

func (l *loader) readFlags() {
	names := make([]string, 0, len(l.src.Flags))
	for name := range l.src.Flags {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if l.byName[name] == nil {
			l.fail("flag", "unknown setting %s%s", name, l.nearest(name, nil))
			continue
		}
		l.set(name, value{text: l.src.Flags[name]}, "flag")
	}
}

// decideSync keeps the rule that an acknowledged write is on disk: periodic
// with the period of every shipped cassandra.yaml was most likely not chosen
// by anybody. Another period, commitlog_sync_decided, a variable or a flag say
// that it was.
func (l *loader) decideSync() {
	c := &l.config
	from := l.origins["commitlog_sync"].From
	inFile := strings.HasPrefix(from, l.src.FileName+":")
	if c.CommitLogSync != SyncPeriodic || c.CommitLogSyncPeriod != shippedSyncPeriod || c.commitLogSyncDecided || !inFile {
		return
	}
	c.CommitLogSync = SyncGroup
	l.origins["commitlog_sync"] = Origin{"commitlog_sync", string(SyncGroup), "default, as " + from + " is what every cassandra.yaml says"}
	l.notes = append(l.notes, from+": commitlog_sync periodic with 10s is taken as not decided: writes are on disk before they are "+
		"acknowledged (group). commitlog_sync_decided: true keeps periodic")
}

// check looks at settings together, and fills what follows from others.
func (l *loader) check() {
	c := &l.config
	from := func(name string) string { return l.origins[name].From }
	if c.listenInterface != "" {
		l.fail(from("listen_interface"), "not supported yet: listen_interface; say listen_address")
	}
	if c.rpcInterface != "" {
		l.fail(from("rpc_interface"), "not supported yet: rpc_interface; say rpc_address")
	}
	if n := len(c.DataDirectories); n > 1 {
		l.fail(from("data_file_directories"), "not supported yet: %d data_file_directories; name one", n)
	}
	if !c.StartNative {
		l.fail(from("start_native_transport"), "not supported yet: start_native_transport: false")
	}
	for _, name := range []string{"listen_address", "broadcast_address", "broadcast_rpc_address"} {
		if a, err := netip.ParseAddr(l.origins[name].Value); err == nil && a.IsUnspecified() {
			l.fail(from(name), "%s: others cannot reach %s", name, a)
		}
	}
	if a, err := netip.ParseAddr(c.RPCAddress); err == nil && a.IsUnspecified() && c.BroadcastRPCAddress == "" {
		l.fail(from("rpc_address"), "rpc_address %s needs broadcast_rpc_address: clients cannot reach it", a)
	}
	// Whoever reaches the admin port rules the node.
	if a, err := netip.ParseAddr(c.AdminAddress); c.AdminAddress != "localhost" && (err != nil || !a.IsLoopback()) {
		l.fail(from("admin_address"), "admin_address %s is not a loopback address", c.AdminAddress)
	}
	if n := len(c.InitialToken); n > 0 && from("num_tokens") != "default" && n != c.NumTokens {
		l.fail(from("initial_token"), "initial_token has %d tokens, num_tokens is %d", n, c.NumTokens)
	} else if n > 0 {
		c.NumTokens = n
	}
	if c.BroadcastAddress == "" {
		c.BroadcastAddress = c.ListenAddress
	}
	if c.BroadcastRPCAddress == "" {
		c.BroadcastRPCAddress = c.RPCAddress
	}
	if len(c.Seeds) == 0 {
		c.Seeds = []string{c.BroadcastAddress}
	}
	if c.MutationBytesMax == 0 {
		c.MutationBytesMax = min(c.CommitLogSegmentBytes/2, MutationBytesLimit)
	}
	if c.MutationBytesMax > MutationBytesLimit {
		l.fail(from("max_mutation_size"), "max_mutation_size is more than %dMiB, which is what a message between nodes holds", MutationBytesLimit>>20)
	}
	if c.MutationBytesMax > c.CommitLogSegmentBytes/2 {
		l.fail(from("max_mutation_size"), "max_mutation_size is more than half of commitlog_segment_size")
	}
}

// nearest suggests the known name that needs the fewest changes, if few do.
func (l *loader) nearest(name string, more map[string]bool) string {
	best, found := len(name)/3+1, ""
	try := func(known string) {
		if d := distance(name, known); d < best || d == best && found != "" && known < found {
			best, found = d, known
		}
	}
	for known := range l.byName {
		try(known)
	}
	for known := range more {
		try(known)
	}
	if found == "" {
		return ""
	}
	return "; did you mean " + found + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
