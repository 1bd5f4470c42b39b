package cloud

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// mock is Amazon's own stand-in for the metadata service, run as a program.
const mock = "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v1.13.0"

// TestInstanceAgainstAmazonsMock asks that of the second version.
func TestInstanceAgainstAmazonsMock(t *testing.T) {
	if os.Getenv("HELENUS_CLOUD") != "1" {
		t.Skip("runs with HELENUS_CLOUD=1")
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", mock)
	install.Env = append(os.Environ(), "GOBIN="+dir)
	if text, err := install.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be installed: %v\n%s", mock, err, text)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	cmd := exec.Command(filepath.Join(dir, "ec2-metadata-mock"), "--imdsv2", "--hostname", "127.0.0.1", "--port", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			tick.Stop()
			break
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the mock ended: %v", err)
		case <-tick.C:
		}
	}
	i, err := NewInstance(InstanceOptions{URL: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	if zone, err := i.Zone(t.Context()); zone != "us-east-1a" {
		t.Errorf("zone %q, %v", zone, err)
	}
	if a, err := i.PublicIPv4(t.Context()); a.String() != "192.0.2.54" {
		t.Errorf("public address %v, %v", a, err)
	}
}
