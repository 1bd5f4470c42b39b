// Package cloud speaks to the cloud that a node runs in, so that nobody else has
// to know its SDK.
//
// Nouns: Instance (the machine this process runs on, as Amazon EC2's metadata
// service describes it).
//
// agent/snitch asks it at a node's start. It never reads the environment or
// credentials, keeps nothing, and knows no rooms.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// MetadataURL is where EC2's metadata service answers on every instance.
const MetadataURL = "http://169.254.169.254"

// The bounds of asking.
const (
	askTimeout     = 5 * time.Second // for one value, with all its tries
	dialTimeout    = time.Second
	answerBytesMax = 4096
)

// InstanceOptions are what an Instance may be told.
type InstanceOptions struct {
	URL string // of the metadata service; "": MetadataURL
	// Tokenless allows the service's first version, which gives its answers to
	// whoever asks, where the second is not there.
	Tokenless bool
	// Dial connects; nil: the network of this machine, never through a proxy.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Instance is the machine that this process runs on.
type Instance struct {
	url    string
	client *imds.Client
}

// NewInstance makes an Instance; nothing is asked yet.
func NewInstance(o InstanceOptions) (*Instance, error) {
	if o.URL == "" {
		o.URL = MetadataURL
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("cloud: %q is not the address of a metadata service, as %s is", o.URL, MetadataURL)
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		// The transport goes on dialing for a request that was given up.
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return o.Dial(ctx, address)
	}}
	fallback := aws.FalseTernary
	if o.Tokenless {
		fallback = aws.TrueTernary
	}
	// What is left out here the SDK would take from the environment.
	return &Instance{o.URL, imds.New(imds.Options{
		Endpoint:          o.URL,
		ClientEnableState: imds.ClientEnabled,
		EnableFallback:    fallback,
		HTTPClient:        bounded{&http.Client{Transport: transport}},
	})}, nil
}

// Zone is the availability zone, as us-east-1a.
func (i *Instance) Zone(ctx context.Context) (string, error) {
	return i.ask(ctx, "placement/availability-zone")
}

// PublicIPv4 is the address by which other regions reach this machine.
func (i *Instance) PublicIPv4(ctx context.Context) (netip.Addr, error) {
	const what = "public-ipv4"
	text, err := i.ask(ctx, what)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("cloud: %s of %s is %q, which is not an IPv4 address", what, i.url, text)
	}
	return a, nil
}

// ErrNotThere is in the error for what this machine does not have.
var ErrNotThere = errors.New("this machine has none")

func (i *Instance) ask(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := i.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && status.HTTPStatusCode() == http.StatusNotFound {
		err = ErrNotThere
	}
	if err != nil {
		return "", fmt.Errorf("cloud: ask %s for %s: %w", i.url, path, err)
	}
	defer out.Content.Close()
	text, err := io.ReadAll(out.Content)
	if err == nil && len(text) == answerBytesMax {
		err = fmt.Errorf("the answer has %d bytes or more", answerBytesMax)
	}
	if err != nil {
		return "", fmt.Errorf("cloud: ask %s for %s: %w", i.url, path, err)
	}
	return string(text), nil
}

// bounded reads no more of an answer than is allowed: the SDK reads all.
type bounded struct{ client *http.Client }

// Do implements imds.HTTPClient.
func (b bounded) Do(r *http.Request) (*http.Response, error) {
	res, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, answerBytesMax), res.Body}
	return res, nil
}
