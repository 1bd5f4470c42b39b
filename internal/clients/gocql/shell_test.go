package suite

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/cassandra-gocql-driver/v2"
)

// TestShell is the Go driver as a program that does what it is told line by
// line; shell_test.go of internal/clients lists the commands and drives it.
func TestShell(t *testing.T) {
	if os.Getenv("HELENUS_SHELL") == "" {
		t.Skip("HELENUS_SHELL is not set: no test, a program")
	}
	sh := new(shell)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		answer, err := sh.do(words[0], words[1:])
		if err != nil {
			answer = fmt.Sprintf("error: %T: %v", err, strings.ReplaceAll(err.Error(), "\n", " "))
		}
		fmt.Println(answer)
	}
}

type shell struct {
	session *gocql.Session
	heard   *listener
	done    int
}

// listener counts what the driver hears of hosts.
type listener struct {
	mu     sync.Mutex // guards counts
	counts map[string]int
}

func (l *listener) count(what string, h *gocql.HostInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what+" "+h.ConnectAddress().String()]++
}

func (l *listener) OnHostUp(e gocql.HostUpEvent)           { l.count("up", e.Host) }
func (l *listener) OnHostDown(e gocql.HostDownEvent)       { l.count("down", e.Host) }
func (l *listener) OnNewHost(e gocql.NewHostEvent)         { l.count("new", e.Host) }
func (l *listener) OnRemovedHost(e gocql.RemovedHostEvent) { l.count("removed", e.Host) }

func (sh *shell) do(command string, args []string) (string, error) {
	switch command {
	case "connect":
		return sh.connect(args[0], args[1], args[2])
	case "hosts":
		return sh.hosts(), nil
	case "at":
		return sh.at(args[0], strings.Join(args[1:], " "))
	case "requests":
		n, err := strconv.Atoi(args[0])
		if err == nil {
			err = sh.requests(n, args[1], args[2])
		}
		return "ok", err
	case "heard":
		return sh.counted(), nil
	}
	return "", fmt.Errorf("no command %s", command)
}

func (sh *shell) connect(host, port, policy string) (string, error) {
	if sh.session != nil {
		sh.session.Close()
	}
	cfg := gocql.NewCluster(host)
	cfg.Port, _ = strconv.Atoi(port)
	cfg.PoolConfig.HostSelectionPolicy = gocql.RoundRobinHostPolicy()
	if policy == "token" {
		cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	}
	sh.heard = &listener{counts: map[string]int{}}
	cfg.Metadata.HostListener.HostStateChangeListener, cfg.Metadata.HostListener.TopologyChangeListener = sh.heard, sh.heard
	var err error
	if sh.session, err = cfg.CreateSession(); err != nil {
		return "", err
	}
	return sh.hosts(), nil
}

func (sh *shell) hosts() string {
	var all []string
	for _, h := range sh.session.GetHosts() {
		if h.IsUp() {
			all = append(all, h.ConnectAddress().String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (sh *shell) at(level, statement string) (string, error) {
	var consistency gocql.Consistency
	if err := consistency.UnmarshalText([]byte(level)); err != nil {
		return "", err
	}
	iter := sh.session.Query(statement).Consistency(consistency).Iter()
	var rows []string
	for {
		row := map[string]any{}
		if !iter.MapScan(row) {
			break
		}
		var cells []string
		for _, c := range iter.Columns() {
			cells = append(cells, fmt.Sprintf("'%v'", row[c.Name]))
		}
		rows = append(rows, "["+strings.Join(cells, ", ")+"]")
	}
	if err := iter.Close(); err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "ok", nil
	}
	return strings.Join(rows, " "), nil
}

func (sh *shell) requests(n int, keyspace, level string) error {
	var consistency gocql.Consistency
	if err := consistency.UnmarshalText([]byte(level)); err != nil {
		return err
	}
	for range n {
		sh.done++
		key, got := fmt.Sprint("gocql ", sh.done), 0
		if err := sh.session.Query("INSERT INTO "+keyspace+".t (k, v) VALUES (?, ?)", key, sh.done).Consistency(consistency).Exec(); err != nil {
			return err
		}
		if err := sh.session.Query("SELECT v FROM "+keyspace+".t WHERE k = ?", key).Consistency(consistency).Scan(&got); err != nil {
			return err
		}
		if got != sh.done {
			return fmt.Errorf("row %d is %d", sh.done, got)
		}
	}
	return nil
}

func (sh *shell) counted() string {
	sh.heard.mu.Lock()
	defer sh.heard.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(sh.heard.counts)) {
		all = append(all, fmt.Sprint(what, " ", sh.heard.counts[what]))
	}
	return strings.Join(all, ", ")
}
