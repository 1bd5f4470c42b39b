// Package peer runs other people's programs for tests: a real Apache Cassandra
// to compare with, and the Python clients that must work against us.
//
// Its nouns are Cassandra (one node with its tools) and Python (an environment
// with cqlsh and the driver). Tests of any package start them; both are
// fetched from the public registries into a cache at first use. It never runs
// unless HELENUS_PEER=1 or HELENUS_CLIENTS=1 asks for it, and says so by
// skipping the test.
package peer

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Release is the Cassandra that is run.
const Release = "5.0.9"

//go:embed pom.xml
var pom []byte

// The bounds of waiting.
const (
	startTimeout = 3 * time.Minute
	stopTimeout  = time.Minute
	pollPeriod   = 100 * time.Millisecond
	joinDelay    = 5 * time.Second // for a seed to answer; who bootstraps waits that long, too
)

// Options change how a Cassandra is run.
type Options struct {
	Heap string     // default 512m
	YAML string     // goes into cassandra.yaml, before what is said there
	Seed *Cassandra // a running node whose cluster to join; nil: alone
	Rack string     // in datacenter1; "": the one rack of SimpleSnitch
}

// Cassandra is a running node, or one that was stopped.
type Cassandra struct {
	dir     string
	address string
	jmxPort int
	heap    string
	delay   time.Duration // Cassandra's ring delay
	lib     string
	cmd     *exec.Cmd
	ended   chan struct{}
	release func() // of the address
	stop    sync.Once
}

// Start runs a Cassandra on a loopback address of its own until the test ends.
func Start(t testing.TB, opt Options) *Cassandra {
	t.Helper()
	c := prepare(t, opt)
	c.launch(t)
	t.Cleanup(func() { c.Stop(t) })
	return c
}

// Offline prepares a Cassandra that is not started: for its offline tools.
func Offline(t testing.TB) *Cassandra {
	t.Helper()
	c := prepare(t, Options{})
	t.Cleanup(c.release)
	return c
}

// prepare gets the libraries, an address and a configuration.
func prepare(t testing.TB, opt Options) *Cassandra {
	t.Helper()
	wanted(t, "HELENUS_PEER", "java", "mvn")
	if runtime.GOOS != "linux" {
		t.Skip("a peer needs loopback addresses of its own, which only Linux has")
	}
	c := &Cassandra{dir: t.TempDir(), heap: opt.Heap, delay: time.Second, release: func() {}}
	if opt.Seed != nil {
		c.delay = joinDelay
	}
	if c.heap == "" {
		c.heap = "512m"
	}
	c.lib = libraries(t)
	c.address, c.release = takeAddress(t)
	c.jmxPort = freePort(t)
	c.configure(t, opt)
	return c
}

// wanted skips the test unless a variable asks for it and the programs exist.
func wanted(t testing.TB, variable string, programs ...string) {
	t.Helper()
	if os.Getenv(variable) != "1" {
		t.Skipf("runs with %s=1", variable)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s", p)
		}
	}
}

// cacheDir is where downloads stay between runs.
func cacheDir(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("HELENUS_PEER_DIR")
	if root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		root = filepath.Join(cache, "helenus-peer")
	}
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// once runs fill for a cache directory that is not complete. Test processes of
// several packages may want the same at once; one of them does the work.
func once(t testing.TB, dir string, fill func()) {
	t.Helper()
	unlock, err := lockFile(dir+".lock", syscall.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	done := filepath.Join(dir, ".done")
	if _, err := os.Stat(done); err == nil {
		return
	}
	fill()
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func lockFile(name string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// libraries fetches Cassandra and what it needs from Maven Central.
func libraries(t testing.TB) string {
	t.Helper()
	dir := cacheDir(t, "cassandra-"+Release)
	once(t, dir, func() {
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, pom, 0o644); err != nil {
			t.Fatal(err)
		}
		output(t, exec.Command("mvn", "-q", "-B", "-f", file, "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib")))
	})
	return filepath.Join(dir, "lib")
}

// output runs a program and fails the test with what it said.
func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, text)
	}
	return string(text)
}

// takeAddress reserves one of 127.0.8.1 to .250 among all test processes.
func takeAddress(t testing.TB) (string, func()) {
	t.Helper()
	dir := cacheDir(t, "addresses")
	for n := 1; n <= 250; n++ {
		address := fmt.Sprintf("127.0.8.%d", n)
		unlock, err := lockFile(filepath.Join(dir, address), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		// A test that was killed may have left a Cassandra behind.
		if ln, err := net.Listen("tcp", net.JoinHostPort(address, "7000")); err == nil {
			ln.Close()
			return address, unlock
		}
		unlock()
	}
	t.Fatal("no free address in 127.0.8.0/24")
	return "", nil
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// Address is the node's address, for clients and for nodes.
func (c *Cassandra) Address() string { return c.address }

// DataDir holds keyspace folders with tables in them.
func (c *Cassandra) DataDir() string { return filepath.Join(c.dir, "data") }

// configure writes the node's configuration.
func (c *Cassandra) configure(t testing.TB, opt Options) {
	t.Helper()
	seed, snitch := c.address, "SimpleSnitch"
	if opt.Seed != nil {
		seed = opt.Seed.address
	}
	if opt.Rack != "" {
		snitch = "GossipingPropertyFileSnitch"
	}
	text := fmt.Sprintf(`cluster_name: peer
num_tokens: 16
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [%[1]s/data]
commitlog_directory: %[1]s/commitlog
saved_caches_directory: %[1]s/saved_caches
hints_directory: %[1]s/hints
cdc_raw_directory: %[1]s/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10000ms
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "%[3]s:7000"
listen_address: %[2]s
rpc_address: %[2]s
endpoint_snitch: %[4]s
auto_snapshot: false
`, c.dir, c.address, seed, snitch)
	const logback = `<configuration><appender name="a" class="ch.qos.logback.core.ConsoleAppender"><target>System.%s</target>` +
		`<encoder><pattern>%%-5level [%%thread] %%date{ISO8601} %%F:%%L - %%msg%%n</pattern></encoder></appender>` +
		`<root level="%s"><appender-ref ref="a"/></root></configuration>`
	for name, text := range map[string]string{
		"cassandra.yaml":              without(text, opt.YAML) + opt.YAML,
		"cassandra-rackdc.properties": "dc=datacenter1\nrack=" + opt.Rack + "\n",
		"logback.xml":                 fmt.Sprintf(logback, "out", "INFO"),
		"logback-tools.xml":           fmt.Sprintf(logback, "err", "WARN"),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// without leaves out the keys of a configuration that another one has.
func without(text, more string) string {
	var kept []string
	for _, line := range strings.SplitAfter(text, "\n") {
		key, _, isKey := strings.Cut(line, ":")
		if !isKey || strings.HasPrefix(key, " ") || !strings.Contains("\n"+more, "\n"+key+":") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// java makes a command of one of Cassandra's classes.
func (c *Cassandra) java(class string, options, args []string) *exec.Cmd {
	var line []string
	line = append(line, moduleOptions()...)
	line = append(line, options...)
	line = append(line, "-Dcassandra.storagedir="+c.dir, "-Dcassandra.config=file://"+c.dir+"/cassandra.yaml",
		"-cp", c.dir+":"+c.lib+"/*", class)
	return exec.Command("java", append(line, args...)...)
}

// moduleOptions open what Cassandra reaches into on Java 17.
func moduleOptions() []string {
	line := []string{"-XX:+UseG1GC", "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"}
	for _, p := range []string{"java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
		"java.management/com.sun.jmx.remote.security", "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.sql/java.sql",
		"jdk.unsupported/sun.misc"} {
		line = append(line, "--add-exports="+p+"=ALL-UNNAMED")
	}
	for _, p := range []string{"java.lang.module", "java.lang", "java.util", "java.nio", "java.io", "sun.nio.ch", "jdk.internal.loader",
		"jdk.internal.ref", "jdk.internal.reflect", "jdk.internal.math", "jdk.internal.module", "jdk.internal.util.jar"} {
		line = append(line, "--add-opens=java.base/"+p+"=ALL-UNNAMED")
	}
	return append(line, "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED")
}

func (c *Cassandra) logFile() string { return filepath.Join(c.dir, "log") }

// launch starts the node and waits until it serves.
func (c *Cassandra) launch(t testing.TB) {
	t.Helper()
	log, err := os.Create(c.logFile())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.cmd = c.java("org.apache.cassandra.service.CassandraDaemon", []string{"-Xms" + c.heap, "-Xmx" + c.heap,
		"-Dcassandra.jmx.local.port=" + strconv.Itoa(c.jmxPort), "-Dcassandra.ring_delay_ms=" + strconv.FormatInt(c.delay.Milliseconds(), 10),
		"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra-foreground=yes"}, nil)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}(c.cmd, c.ended)
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for deadline := time.Now().Add(startTimeout); ; {
		text, err := os.ReadFile(c.logFile())
		if err == nil && strings.Contains(string(text), "Startup complete") {
			return
		}
		select {
		case <-ticker.C:
		case <-c.ended:
			t.Fatalf("Cassandra ended at its start:\n%s", tail(text))
		}
		if time.Now().After(deadline) {
			c.Stop(t)
			t.Fatalf("Cassandra does not serve after %s:\n%s", startTimeout, tail(text))
		}
	}
}

func tail(text []byte) string { return string(text[max(0, len(text)-3000):]) }

// Stop ends the node in an orderly way. Its files and offline tools stay.
func (c *Cassandra) Stop(t testing.TB) {
	t.Helper()
	c.stop.Do(func() {
		defer c.release()
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return // it has ended
		}
		select {
		case <-c.ended:
		case <-time.After(stopTimeout):
			t.Errorf("Cassandra does not end after %s and is killed", stopTimeout)
			_ = c.cmd.Process.Kill()
			<-c.ended
		}
	})
}

// PID is the node's process.
func (c *Cassandra) PID() int { return c.cmd.Process.Pid }

// Dir holds all the node's files.
func (c *Cassandra) Dir() string { return c.dir }

// Kill ends the node as kill -9 does.
func (c *Cassandra) Kill() {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.ended
}

// Restart runs a node again that was killed.
func (c *Cassandra) Restart(t testing.TB) {
	t.Helper()
	c.launch(t)
}

// Nodetool runs nodetool against the node.
func (c *Cassandra) Nodetool(t testing.TB, args ...string) string {
	t.Helper()
	args = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(c.jmxPort)}, args...)
	return output(t, c.java("org.apache.cassandra.tools.NodeTool", c.toolOptions(), args))
}

// NodetoolScript writes a program that is nodetool for several nodes: it takes
// -h with a node's address first, as the operator of a real cluster would.
func NodetoolScript(t testing.TB, nodes ...*Cassandra) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("#!/bin/sh\nhost=$2\nshift 2\ncase $host in\n")
	for _, c := range nodes {
		fmt.Fprintf(&text, "%s) port=%d ;;\n", c.address, c.jmxPort)
	}
	text.WriteString("*) echo \"no node $host\" >&2; exit 1 ;;\nesac\nexec")
	for _, arg := range nodes[0].java("org.apache.cassandra.tools.NodeTool", nodes[0].toolOptions(), nil).Args {
		text.WriteString(" '" + arg + "'")
	}
	text.WriteString(" -h 127.0.0.1 -p $port \"$@\"\n")
	name := filepath.Join(t.TempDir(), "nodetool")
	if err := os.WriteFile(name, []byte(text.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// Tool runs an offline tool, for example SSTableExport, SSTableMetadataViewer
// or StandaloneVerifier, with the node's configuration and schema.
func (c *Cassandra) Tool(t testing.TB, class string, args ...string) string {
	t.Helper()
	text, err := c.TryTool(class, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", class, err, text)
	}
	return text
}

// TryTool is Tool for a tool that may fail.
func (c *Cassandra) TryTool(class string, args ...string) (string, error) {
	text, err := c.java("org.apache.cassandra.tools."+class, c.toolOptions(), args).CombinedOutput()
	return string(text), err
}

// Java compiles a Java program of one file, runs it with Cassandra's classes on
// that input, and returns its output.
func (c *Cassandra) Java(t testing.TB, file, input string) string {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip("needs javac")
	}
	cmd := c.java(file, c.toolOptions(), nil)
	cmd.Stdin = strings.NewReader(input)
	var errors strings.Builder
	cmd.Stderr = &errors
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, tail([]byte(errors.String())))
	}
	return string(text)
}

func (c *Cassandra) toolOptions() []string {
	return []string{"-Xmx256m", "-Dlogback.configurationFile=" + filepath.Join(c.dir, "logback-tools.xml")}
}
