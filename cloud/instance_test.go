package cloud

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// service is a metadata service without a network.
type service struct {
	values   map[string]string
	noTokens bool // as the first version, which knows none
	token    string
	expire   int // so many requests find their token expired
	asked    []string
}

func (s *service) dial(_ context.Context, address string) (net.Conn, error) {
	if address != "169.254.169.254:80" {
		return nil, errors.New("no way to " + address)
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		if r, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
			w := httptest.NewRecorder()
			s.answer(w, r)
			_ = w.Result().Write(server) // the client may have gone
		}
	}()
	return client, nil
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	value, there := s.values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
	switch {
	case r.URL.Path == "/latest/api/token":
		ttl := r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds")
		if s.noTokens || r.Method != http.MethodPut || ttl == "" {
			http.Error(w, "", http.StatusNotFound)
			return
		}
		s.token += "t"
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl)
		_, _ = io.WriteString(w, s.token)
	case !s.noTokens && (r.Header.Get("X-Aws-Ec2-Metadata-Token") != s.token || s.expire > 0):
		s.expire--
		http.Error(w, "", http.StatusUnauthorized)
	case !there:
		http.Error(w, "", http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, value)
	}
}

func TestInstance(t *testing.T) {
	values := map[string]string{"placement/availability-zone": "us-east-1a", "public-ipv4": "192.0.2.54"}
	for _, c := range []struct {
		name      string
		service   service
		tokenless bool
		zone      string
		public    string
	}{
		{"second version", service{values: values}, false, "us-east-1a", "192.0.2.54"},
		{"an expired token", service{values: values, expire: 1}, false, "us-east-1a", "192.0.2.54"},
		{"no public address", service{values: map[string]string{"placement/availability-zone": "eu-west-3b"}}, false, "eu-west-3b", "this machine has none"},
		{"first version, not allowed", service{values: values, noTokens: true}, false, "StatusCode: 404", "StatusCode: 404"},
		{"first version", service{values: values, noTokens: true}, true, "us-east-1a", "192.0.2.54"},
		{"nonsense", service{values: map[string]string{"placement/availability-zone": strings.Repeat("x", 1<<20), "public-ipv4": "::1"}}, false, "4096 bytes or more", "not an IPv4 address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, err := NewInstance(InstanceOptions{Tokenless: c.tokenless, Dial: c.service.dial})
				if err != nil {
					t.Fatal(err)
				}
				zone, err := i.Zone(t.Context())
				if err != nil {
					zone = err.Error()
				}
				if !strings.HasSuffix(zone, c.zone) && (err == nil || !strings.Contains(zone, c.zone)) {
					t.Errorf("zone %s, want %s", zone, c.zone)
				}
				a, err := i.PublicIPv4(t.Context())
				public := a.String()
				if err != nil {
					public = err.Error()
				}
				if !strings.Contains(public, c.public) {
					t.Errorf("public %s, want %s", public, c.public)
				}
				if !c.service.noTokens && c.service.asked[0] != "PUT /latest/api/token" {
					t.Errorf("asked %q", c.service.asked)
				}
			})
		})
	}
}

// TestInstanceNowhere: without a service the answer is an error that names the
// address, after a bounded time.
func TestInstanceNowhere(t *testing.T) {
	hangs := func(ctx context.Context, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	refuses := func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") }
	for name, dial := range map[string]func(context.Context, string) (net.Conn, error){"hangs": hangs, "refuses": refuses} {
		synctest.Test(t, func(t *testing.T) {
			i, err := NewInstance(InstanceOptions{Dial: dial})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*askTimeout)
			defer cancel()
			_, err = i.Zone(ctx)
			if err == nil || !strings.Contains(err.Error(), MetadataURL) || ctx.Err() != nil {
				t.Errorf("%s: %v, %v", name, err, ctx.Err())
			}
		})
	}
}

func TestInstanceURL(t *testing.T) {
	for _, url := range []string{"169.254.169.254", "ftp://a", "http://", "http://a b"} {
		if _, err := NewInstance(InstanceOptions{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

// TestInstanceHeedsNoEnvironment: what the SDK would read there.
func TestInstanceHeedsNoEnvironment(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://nowhere")
	t.Setenv("HTTP_PROXY", "http://nowhere")
	s := &service{values: map[string]string{"placement/availability-zone": "us-east-1a"}}
	i, err := NewInstance(InstanceOptions{Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	if zone, err := i.Zone(t.Context()); zone != "us-east-1a" {
		t.Errorf("%q, %v", zone, err)
	}
}
