// Package helenus is ctl's adapter to a Helenus node: HTTP to its admin API.
//
// Its noun is Client, an implementation of ctl/node's port. ctl makes one for
// each node it is pointed at. It never retries: an operator should see the
// first answer.
package helenus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"helenus/ctl/node"
	"helenus/internal/report"
)

// answerBytesMax bounds what is read: the ring of a thousand nodes with 256
// tokens each is 6 MB.
const answerBytesMax = 64 << 20

const dialTimeout = 5 * time.Second

// Client speaks to one node.
type Client struct {
	address  string
	http     *http.Client
	bytesMax int64 // of an answer
}

var _ node.Node = (*Client)(nil)

// New makes a client of the admin API at host:port. It does not connect yet.
func New(address string) *Client {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{address: address, bytesMax: answerBytesMax, http: &http.Client{
		// An operation has the deadline that the node gives it, and a proxy has
		// no business between an operator and loopback.
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// Ready asks whether the node serves clients.
func (c *Client) Ready(ctx context.Context) (out report.Ready, err error) {
	err = c.get(ctx, "/ready", nil, &out)
	return out, err
}

// Status asks for all nodes.
func (c *Client) Status(ctx context.Context, keyspace string) (out report.Ring, err error) {
	err = c.get(ctx, "/status", keyspaceQuery(keyspace), &out)
	return out, err
}

// Ring asks for all nodes with their tokens.
func (c *Client) Ring(ctx context.Context, keyspace string) (out report.Ring, err error) {
	err = c.get(ctx, "/ring", keyspaceQuery(keyspace), &out)
	return out, err
}

// Info asks the node about itself.
func (c *Client) Info(ctx context.Context) (out report.Info, err error) {
	err = c.get(ctx, "/info", nil, &out)
	return out, err
}

// Cluster asks for name, schema versions and keyspaces.
func (c *Client) Cluster(ctx context.Context) (out report.Cluster, err error) {
	err = c.get(ctx, "/cluster", nil, &out)
	return out, err
}

// Ranges asks for the ranges of a keyspace with their replicas.
func (c *Client) Ranges(ctx context.Context, keyspace string) (out report.TokenRanges, err error) {
	err = c.get(ctx, "/ranges", keyspaceQuery(keyspace), &out)
	return out, err
}

// Endpoints asks for the replicas of a key.
func (c *Client) Endpoints(ctx context.Context, r report.KeyRequest) (out report.Endpoints, err error) {
	err = c.get(ctx, "/endpoints", url.Values{"keyspace": {r.Keyspace}, "table": {r.Table}, "key": {r.Key}}, &out)
	return out, err
}

// Version asks what runs.
func (c *Client) Version(ctx context.Context) (out report.Version, err error) {
	err = c.get(ctx, "/version", nil, &out)
	return out, err
}

// Flush writes memtables to disk and returns when they are there.
func (c *Client) Flush(ctx context.Context, r report.TablesRequest) error {
	return c.post(ctx, "/flush", r, &report.Empty{})
}

// Compact begins a compaction.
func (c *Client) Compact(ctx context.Context, r report.TablesRequest) (out report.Job, err error) {
	err = c.post(ctx, "/compact", r, &out)
	return out, err
}

// Jobs asks for long work.
func (c *Client) Jobs(ctx context.Context) ([]report.Job, error) {
	var out report.Jobs
	err := c.get(ctx, "/jobs", nil, &out)
	return out.Jobs, err
}

// Job asks for one job.
func (c *Client) Job(ctx context.Context, id string) (out report.Job, err error) {
	err = c.get(ctx, "/jobs/"+url.PathEscape(id), nil, &out)
	return out, err
}

// CancelJob asks a job to end.
func (c *Client) CancelJob(ctx context.Context, id string) (out report.Job, err error) {
	err = c.post(ctx, "/jobs/"+url.PathEscape(id)+"/cancel", report.Empty{}, &out)
	return out, err
}

func keyspaceQuery(keyspace string) url.Values {
	if keyspace == "" {
		return nil
	}
	return url.Values{"keyspace": {keyspace}}
}

func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

func (c *Client) post(ctx context.Context, path string, request, out any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the request of %s: %w", path, err)
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+"/v1"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address %q: %w", c.address, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &node.Unreachable{Address: c.address, Cause: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, c.bytesMax+1))
	if err == nil && int64(len(text)) > c.bytesMax {
		err = fmt.Errorf("an answer of more than %d bytes", c.bytesMax)
	}
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.address, err)
	}
	if resp.StatusCode >= 300 {
		return c.failure(resp, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer of %s to %s is not understood: %w", c.address, path, err)
	}
	return nil
}

// failure reads an error; one that is not of our API is somebody else on the port.
func (c *Client) failure(resp *http.Response, text []byte) error {
	var told struct {
		Error *report.Error `json:"error"`
	}
	if err := json.Unmarshal(text, &told); err != nil || told.Error == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		return fmt.Errorf("%s is not the admin API of a node: %s %.100s", c.address, resp.Status, line)
	}
	return told.Error
}
