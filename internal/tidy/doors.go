package tidy

import "strings"

// doors says which packages may import a foreign module; a module that is not
// here may be imported by nobody. "*" stands for everybody.
var doors = map[string][]string{
	"github.com/hashicorp/memberlist":             {"agent/gossip"},
	"go.etcd.io/raft/v3":                          {"agent/cluster"},
	"github.com/aws/aws-sdk-go-v2":                {"cloud"},
	"github.com/bits-and-blooms/bloom/v3":         {"store/sstable"},
	"github.com/bits-and-blooms/bitset":           {"store/sstable"},
	"github.com/klauspost/compress":               {"internal/compress"},
	"github.com/pierrec/lz4/v4":                   {"internal/compress"},
	"github.com/goccy/go-yaml":                    {"internal/yaml"},
	"github.com/spf13/cobra":                      {"ctl", "cmd/ctl", "cmd/helenus-agent"},
	"github.com/spf13/pflag":                      {"ctl"},
	"github.com/spf13/viper":                      {"ctl", "cmd/ctl", "cmd/helenus-agent"},
	"github.com/olekukonko/tablewriter":           {"ctl"},
	"github.com/shirou/gopsutil/v3":               {"agent/admin"},
	"github.com/prometheus/client_golang":         {"internal/metrics"},
	"gopkg.in/inf.v0":                             {"internal/cql/types", "agent/query"},
	"github.com/cockroachdb/datadriven":           {"*"},                   // tests only, see testOnly
	"github.com/apache/cassandra-gocql-driver/v2": {"*"},                   // tests only
	"github.com/cockroachdb/pebble/v2":            {"internal/benchstore"}, // a module of its own, for comparison
	"github.com/google/uuid":                      {"*"},
	"golang.org/x/sys":                            {"*"},
	"golang.org/x/sync":                           {"*"},
}

// testOnly modules never reach a binary.
var testOnly = map[string]bool{
	"github.com/cockroachdb/datadriven":           true,
	"github.com/apache/cassandra-gocql-driver/v2": true,
}

// oneFile modules may be imported by one file of their package only.
var oneFile = map[string]bool{
	"github.com/olekukonko/tablewriter": true,
	"github.com/shirou/gopsutil/v3":     true,
}

// pure names what certain packages never import, so that they replay from a
// seed. "*" stands for everything but the standard library.
var pure = map[string][]string{
	"internal/token":     {"*", "net", "os", "time"},
	"internal/ring":      {"net", "os", "time"},
	"internal/meta":      {"net", "os", "time"},
	"internal/cql/proto": {"net", "os"},
	"store/row":          {"net", "os", "time"},
	"balance":            {"net", "os", "time"},
	"balance/run":        {"net", "os", "time"},
}

// Doors checks the imports of foreign modules and of what pure packages shun.
func Doors(src *Source) []Finding {
	var findings []Finding
	files := map[string]string{}
	src.Files(func(p *Package, f *File) {
		imports := f.imports()
		for _, imp := range sortedKeys(imports) {
			pos := imports[imp]
			if !f.Test && shunned(p.Path, imp) {
				findings = append(findings, src.at("doors", pos, "%s never imports %s", p.Path, imp))
			}
			if _, ours := own(imp); ours || !strings.Contains(strings.Split(imp, "/")[0], ".") {
				continue
			}
			module, rooms := door(imp)
			switch {
			case module == "":
				findings = append(findings, src.at("doors", pos, "%s has no door in internal/tidy/doors.go", imp))
			case testOnly[module] && !f.Test:
				findings = append(findings, src.at("doors", pos, "%s is for tests only", module))
			case !contains(rooms, p.Path):
				findings = append(findings, src.at("doors", pos, "the door of %s is %s", module, strings.Join(rooms, ", ")))
			case oneFile[module] && files[module+p.Path] != "" && files[module+p.Path] != f.Path:
				findings = append(findings, src.at("doors", pos, "%s is imported by %s already: one file only", module, files[module+p.Path]))
			}
			files[module+p.Path] = f.Path
		}
	})
	return findings
}

// door finds the module an import path belongs to.
func door(imp string) (string, []string) {
	for module, rooms := range doors {
		if imp == module || strings.HasPrefix(imp, module+"/") {
			return module, rooms
		}
	}
	return "", nil
}

func shunned(pkg, imp string) bool {
	for _, s := range pure[pkg] {
		if _, ours := own(imp); imp == s || s == "*" && ours {
			return true
		}
	}
	return false
}

func contains(rooms []string, pkg string) bool {
	for _, r := range rooms {
		if r == pkg || r == "*" {
			return true
		}
	}
	return false
}
