package snitch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/internal/ring"
)

// TestSnitch is told in testdata/snitch.txt: a file's name and text as commands,
// and "place" with the settings, which prints what was found.
func TestSnitch(t *testing.T) {
	datadriven.RunTest(t, "testdata/snitch.txt", func(t *testing.T, d *datadriven.TestData) string {
		files := map[string]string{}
		o := Options{Name: d.CmdArgs[0].Key, Broadcast: netip.MustParseAddr("10.0.0.1")}
		instance := map[string]string{}
		var members []*ring.Node
		for _, arg := range d.CmdArgs[1:] {
			switch value := arg.Vals[0]; arg.Key {
			case "datacenter":
				o.Datacenter = value
			case "rack":
				o.Rack = value
			case "broadcast":
				o.Broadcast = netip.MustParseAddr(value)
			case "zone":
				instance["placement/availability-zone"] = value
			case "public":
				instance["public-ipv4"] = value
			case "member":
				dc, rack, _ := strings.Cut(value, "/")
				members = append(members, &ring.Node{HostID: helenus.HostID{1}, Datacenter: helenus.Datacenter(dc), Rack: helenus.Rack(rack)})
			default:
				d.Fatalf(t, "unknown argument %s", arg.Key)
			}
		}
		if d.Cmd != "none" {
			files[map[string]string{"rackdc": rackDCFile, "topology": topologyFile}[d.Cmd]] = d.Input
		}
		o.ReadFile = func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: "conf/" + name, Err: fs.ErrNotExist}
		}
		o.Dial = metadataService(instance)
		var out string
		synctest.Test(t, func(t *testing.T) { out = describe(o, members) })
		return out
	})
}

func describe(o Options, members []*ring.Node) string {
	s, err := New(context.Background(), o)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	dc, rack := s.Place()
	fmt.Fprintf(&b, "%s: datacenter %s, rack %s", s.Name(), dc, rack)
	if a := s.Broadcast(); a.IsValid() {
		fmt.Fprintf(&b, ", broadcast %s", a)
	}
	if s.PreferLocal() {
		b.WriteString(", prefers local addresses")
	}
	b.WriteString("\n")
	for _, note := range s.Notes() {
		fmt.Fprintln(&b, "note:", note)
	}
	if err := s.Check(members); err != nil {
		fmt.Fprintln(&b, "members:", err)
	}
	return b.String()
}

// metadataService answers as an EC2 instance's; without values nobody does.
func metadataService(values map[string]string) func(context.Context, string) (net.Conn, error) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		value, there := values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
		switch {
		case r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token" || !there:
			http.Error(w, "", http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, value)
		}
	}
	return func(context.Context, string) (net.Conn, error) {
		if len(values) == 0 {
			return nil, errors.New("no route to host")
		}
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if r, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				w := httptest.NewRecorder()
				answer(w, r)
				_ = w.Result().Write(server) // the client may have gone
			}
		}()
		return client, nil
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	for want, read := range map[string]func(string) ([]byte, error){
		"no permission": func(string) ([]byte, error) { return nil, errors.New("no permission") },
		"more than":     func(string) ([]byte, error) { return make([]byte, fileBytesMax+1), nil },
	} {
		_, err := New(t.Context(), Options{Name: Gossiping, ReadFile: read})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), rackDCFile) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestProperties compares with what Java reads from the same text.
func TestProperties(t *testing.T) {
	for text, want := range map[string]string{
		"a=b":                        "a=b",
		"  a = b c \n":               "a=b c",
		"a:b":                        "a=b",
		"a b":                        "a=b",
		"a\tb":                       "a=b",
		"a = = b":                    "a== b",
		"a":                          "a=",
		"# a=b\n! c=d\n\n e=f":       "e=f",
		"a=b\r\nc=d\re=f":            "a=b|c=d|e=f",
		"a=b\\\n   c\nd=e":           "a=bc|d=e",
		"a=b\\\\\nc=d":               `a=b\|c=d`,
		"a=b\\":                      "a=b",
		`2001\:db8\:\:1=x:y`:         "2001:db8::1=x:y",
		`a\=b\ c=d`:                  "a=b c=d",
		`a=\u0062\t\n\q`:             "a=b\t\nq",
		"a=b\na=b":                   "a=b",
		"a=b\n\na=c":                 "f:3: a stands on line 1 with another value: remove one",
		"b=\u00fc":                   `f:1: "b=ü" is not plain ASCII: write such a letter as \u and four hexadecimal digits`,
		"b=\\u12":                    `f:1: "\\u12": \u wants four hexadecimal digits`,
		"b=\\u12x4":                  `f:1: "\\u12x4": \u wants four hexadecimal digits`,
		"# one\nb=c\\\n  d\nc=\\u\n": `f:4: "\\u": \u wants four hexadecimal digits`,
	} {
		p := properties{name: "f"}
		got := ""
		if err := p.parse([]byte(text)); err != nil {
			got = strings.TrimPrefix(err.Error(), "snitch: ")
		} else {
			var all []string
			for _, e := range p.entries {
				all = append(all, e.key+"="+e.value)
			}
			got = strings.Join(all, "|")
		}
		if got != strings.TrimRight(want, "\t\n") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzProperties: whatever the text, an error or entries; and what is escaped is
// read as it was.
func FuzzProperties(f *testing.F) {
	f.Add("a=b\n", "key", "value")
	f.Add("a\\=b:\\\n c\\u0041", " :=#!\\", "\\ x")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		p := properties{name: "f"}
		_ = p.parse([]byte(text)) // must not panic
		escape := func(s string) string {
			var b strings.Builder
			for _, r := range s {
				if r > 0xffff {
					r = 'x'
				}
				fmt.Fprintf(&b, `\u%04x`, r)
			}
			return b.String()
		}
		if key == "" || strings.ToValidUTF8(key+value, "") != key+value {
			return
		}
		var q properties
		if err := q.parse([]byte(escape(key) + " = " + escape(value))); err != nil {
			t.Fatal(err)
		}
		if len(q.entries) != 1 || escape(q.entries[0].key) != escape(key) || escape(q.entries[0].value) != escape(strings.TrimSpace(value)) {
			t.Errorf("%q=%q came back as %+v", key, value, q.entries)
		}
	})
}
