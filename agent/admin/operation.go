package admin

import (
	"context"
	"net/http"
	"time"

	"helenus/agent/job"
	"helenus/internal/report"
)

// Operation is one thing an operator can ask of a node. The HTTP API, its
// OpenAPI document and ctl's verbs come from the table of operations. Exactly
// one of Run and Job is set.
type Operation struct {
	Name     string // snake_case, what ctl and the document call it
	Method   string
	Path     string // under /v1; {name} takes a field of the request tagged in:"path"
	Summary  string
	Deadline time.Duration // of Run; 0: the usual one
	Request  any           // a zero value of what Run and Job take
	Response any           // a zero value of what Run answers

	Run func(ctx context.Context, request any) (any, error)

	// Job is long work: the caller gets a report.Job at once.
	Job    func(ctx context.Context, request any, progress *job.Progress) error
	Target func(request any) string // what the job works on, for people
}

// absent is the answer of an operation that no room of the node is behind.
func absent(name string) error {
	return report.Errorf(report.Unsupported, "not on this node yet: %s", name)
}

// Query is an operation that changes nothing. Without a run it answers that
// the node does not have it.
func Query[Req, Resp any](name, path, summary string, run func(context.Context, Req) (Resp, error)) Operation {
	op := Action(name, path, summary, run)
	op.Method = http.MethodGet
	return op
}

// Action is an operation that changes something and is soon done.
func Action[Req, Resp any](name, path, summary string, run func(context.Context, Req) (Resp, error)) Operation {
	var req Req
	var resp Resp
	return Operation{Name: name, Method: http.MethodPost, Path: path, Summary: summary, Request: req, Response: resp,
		Run: func(ctx context.Context, request any) (any, error) {
			if run == nil {
				return nil, absent(name)
			}
			return run(ctx, request.(Req))
		}}
}

// LongAction is an operation that runs as a job.
func LongAction[Req any](name, path, summary string, target func(Req) string,
	run func(context.Context, Req, *job.Progress) error) Operation {
	var req Req
	return Operation{Name: name, Method: http.MethodPost, Path: path, Summary: summary, Request: req, Response: report.Job{},
		Target: func(request any) string { return target(request.(Req)) },
		Job: func(ctx context.Context, request any, progress *job.Progress) error {
			if run == nil {
				return absent(name)
			}
			return run(ctx, request.(Req), progress)
		}}
}
