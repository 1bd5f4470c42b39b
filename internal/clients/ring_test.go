package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/report"
)

// patience bounds every wait for another process.
const patience = time.Minute

// ring is a cluster of real agents, each at an address and in a rack of its own.
type ring struct {
	t                   *testing.T
	dir, binary         string
	cql, storage, admin int // the same at every address, as drivers expect
	members             []*member
}

// member is one agent of it; they count from 1.
type member struct {
	r           *ring
	number      int
	host        string // for nodes and operators
	native      string // for clients
	cmd         *exec.Cmd
	ended       chan struct{}
	config, log string
}

func newRing(t *testing.T, nodes int) *ring {
	t.Helper()
	r := &ring{t: t, dir: t.TempDir()}
	r.binary = filepath.Join(r.dir, "helenus-agent")
	if out, err := exec.Command("go", "build", "-o", r.binary, "helenus/cmd/helenus-agent").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, port := range []*int{&r.cql, &r.storage, &r.admin} {
		ln, err := net.Listen("tcp", net.JoinHostPort(address(1), "0"))
		if err != nil {
			t.Skip("SKIP: no second loopback address: ", err)
		}
		defer ln.Close()
		*port = ln.Addr().(*net.TCPAddr).Port
	}
	t.Cleanup(r.end)
	for range nodes {
		r.add(true)
	}
	return r
}

// address is one that other tests are not likely to use at the same time.
func address(number int) string {
	return fmt.Sprintf("127.%d.%d.%d", 80+os.Getpid()>>8&63, os.Getpid()&255, number)
}

// add writes the configuration of one more agent; the first three are the seeds.
func (r *ring) add(bootstrap bool) *member {
	r.t.Helper()
	m := &member{r: r, number: len(r.members) + 1}
	m.host = address(m.number)
	m.native = m.host
	if m.number > 3 {
		m.native = address(100 + m.number) // clients come in by another door
	}
	dir := filepath.Join(r.dir, strconv.Itoa(m.number))
	m.config, m.log = filepath.Join(dir, "helenus.yaml"), filepath.Join(dir, "log")
	var seeds []string
	for i := range 3 {
		seeds = append(seeds, net.JoinHostPort(address(i+1), strconv.Itoa(r.storage)))
	}
	text := fmt.Sprintf("cluster_name: clients\nnum_tokens: 16\nlisten_address: %[1]s\nrpc_address: %[2]s\nadmin_address: %[1]s\nnative_transport_port: %[3]d\n"+
		"storage_port: %[4]d\nadmin_port: %[5]d\ndata_file_directories: [%[6]s/data]\ncommitlog_directory: %[6]s/commitlog\nhints_directory: %[6]s/hints\n"+
		"endpoint_snitch: GossipingPropertyFileSnitch\nmemory_limit: 256MiB\nauto_bootstrap: %[7]t\nseed_provider: %[8]q\n",
		m.host, m.native, r.cql, r.storage, r.admin, dir, bootstrap, strings.Join(seeds, ","))
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	for name, text := range map[string]string{m.config: text,
		filepath.Join(dir, "cassandra-rackdc.properties"): fmt.Sprintf("dc=dc1\nrack=rack%d\n", (m.number-1)%3+1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.members = append(r.members, m)
	return m
}

// end ends all agents, and shows what they said if the test failed.
func (r *ring) end() {
	for _, m := range r.members {
		m.kill()
		if r.t.Failed() {
			text, err := os.ReadFile(m.log)
			r.t.Logf("node %d said (%v):\n%s", m.number, err, text[max(0, len(text)-10_000):])
		}
	}
}

// start runs agents, all at once: alone, none may found a cluster.
func (r *ring) start(members ...*member) {
	r.t.Helper()
	for _, m := range members {
		m.run()
	}
	for _, m := range members {
		eventually(r.t, fmt.Sprintf("node %d serves", m.number), func() string {
			select {
			case <-m.ended:
				r.t.Fatalf("node %d has ended", m.number)
			default:
			}
			return m.unready(r.t.Context())
		})
	}
}

func (m *member) run() {
	t := m.r.t
	t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(m.r.binary, "--config", m.config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HELENUS_") }) // settings
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.cmd, m.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}(m.ended)
}

// kill ends the agent as kill -9 does; one that does not run is left alone.
func (m *member) kill() { m.signal(syscall.SIGKILL) }

// stop ends the agent in good order.
func (m *member) stop() { m.signal(syscall.SIGTERM) }

func (m *member) signal(s syscall.Signal) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(s) // it may have ended by itself
	<-m.ended
	m.cmd = nil
}

// unready is why the agent does not serve clients; empty when it does.
func (m *member) unready(ctx context.Context) string {
	var ready report.Ready
	switch err := m.get(ctx, "ready", &ready); {
	case err != nil:
		return err.Error()
	case ready.PID != m.cmd.Process.Pid:
		return fmt.Sprintf("process %d answers for %d", ready.PID, m.cmd.Process.Pid)
	}
	return ""
}

// get asks the admin API.
func (m *member) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/v1/%s", m.host, m.r.admin, path), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// facts are the agent's numbers without labels, by name.
func (m *member) facts() map[string]float64 {
	m.r.t.Helper()
	var all report.Facts
	if err := m.get(m.r.t.Context(), "facts", &all); err != nil {
		m.r.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all.Facts {
		for _, v := range f.Values {
			if len(v.Labels) == 0 {
				out[f.Name] = v.Number
			}
		}
	}
	return out
}

// connect opens a connection of the project's own client.
func (m *member) connect(ctx context.Context) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return client.Connect(ctx, net.JoinHostPort(m.native, strconv.Itoa(m.r.cql)), client.Config{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}})
}

// query runs a statement on a connection of its own.
func (m *member) query(statement string) [][][]byte {
	m.r.t.Helper()
	c, err := m.connect(m.r.t.Context())
	if err != nil {
		m.r.t.Fatalf("node %d: %v", m.number, err)
	}
	defer c.Close()
	result, err := c.Query(m.r.t.Context(), statement)
	if err != nil {
		m.r.t.Fatalf("%s: %v", statement, err)
	}
	rows, err := result.All()
	if err != nil {
		m.r.t.Fatalf("%s: %v", statement, err)
	}
	return rows
}

// named replaces the addresses of agents by their numbers.
func (r *ring) named(text string) string {
	return anAddress.ReplaceAllStringFunc(text, func(found string) string {
		for _, m := range r.members {
			if found == m.native || found == m.host {
				return strconv.Itoa(m.number)
			}
		}
		return found
	})
}

// eventually polls until lacking says that nothing is lacking any more.
func eventually(t *testing.T, what string, lacking func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		why := lacking()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %s", patience, what, why)
		}
		<-time.After(20 * time.Millisecond)
	}
}
