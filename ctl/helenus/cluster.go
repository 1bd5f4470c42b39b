package helenus

import (
	"context"

	"helenus/internal/report"
)

// GossipInfo asks what gossip holds of each node.
func (c *Client) GossipInfo(ctx context.Context) (out report.GossipInfo, err error) {
	err = c.get(ctx, "/gossip", nil, &out)
	return out, err
}

// FailureDetector asks how sure the node is that others are away.
func (c *Client) FailureDetector(ctx context.Context) (out report.FailureDetector, err error) {
	err = c.get(ctx, "/gossip/failuredetector", nil, &out)
	return out, err
}

// GossipService asks whether gossip runs.
func (c *Client) GossipService(ctx context.Context) (out report.Service, err error) {
	err = c.get(ctx, "/gossip/status", nil, &out)
	return out, err
}

// NativeService asks whether clients are served.
func (c *Client) NativeService(ctx context.Context) (out report.Service, err error) {
	err = c.get(ctx, "/native/status", nil, &out)
	return out, err
}

// Seeds asks for the seeds but the node itself.
func (c *Client) Seeds(ctx context.Context) (out report.Seeds, err error) {
	err = c.get(ctx, "/gossip/seeds", nil, &out)
	return out, err
}

// ReloadSeeds has the node read its seeds again.
func (c *Client) ReloadSeeds(ctx context.Context) (out report.Seeds, err error) {
	err = c.post(ctx, "/gossip/seeds/reload", report.Empty{}, &out)
	return out, err
}

// HintSettings asks how writes for nodes that are away are kept.
func (c *Client) HintSettings(ctx context.Context) (out report.HintSettings, err error) {
	err = c.get(ctx, "/hints/settings", nil, &out)
	return out, err
}

// ChangeHints changes that until the node restarts.
func (c *Client) ChangeHints(ctx context.Context, r report.HintChange) (out report.HintSettings, err error) {
	err = c.post(ctx, "/hints/settings", r, &out)
	return out, err
}

// PendingHints asks for the hints that wait.
func (c *Client) PendingHints(ctx context.Context) (out report.HintList, err error) {
	err = c.get(ctx, "/hints", nil, &out)
	return out, err
}

// Metadata asks where the log of the metadata stands.
func (c *Client) Metadata(ctx context.Context) (out report.Metadata, err error) {
	err = c.get(ctx, "/metadata", nil, &out)
	return out, err
}

// RecoverMetadata makes the node the only voter.
func (c *Client) RecoverMetadata(ctx context.Context) (out report.Metadata, err error) {
	err = c.post(ctx, "/metadata/recover", report.Empty{}, &out)
	return out, err
}

// TruncateHints throws hints away.
func (c *Client) TruncateHints(ctx context.Context, r report.HintsRequest) error {
	return c.post(ctx, "/hints/truncate", r, &report.Empty{})
}
