// Package admin is the operators' door of a node: an HTTP API on loopback.
//
// Its nouns are Operation (one line of the table from which the API and its
// OpenAPI document are made), Backend (what the rooms of a node can answer) and
// Server. The assembly hands over operations and runs the server; ctl and
// curl talk to it. It never decides anything about data: it translates, calls
// and translates back.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"helenus/agent/job"
	"helenus/internal/metrics"
	"helenus/internal/report"
)

// The bounds of a request.
const (
	bodyBytesMax    = 1 << 20
	headerBytesMax  = 64 << 10
	deadlineDefault = 30 * time.Second
	headerTimeout   = 10 * time.Second
	bodyTimeout     = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	closeTimeout    = 5 * time.Second
)

// prefix begins every path; a change that breaks clients changes it.
const prefix = "/v1"

// Options are what a Server works with.
type Options struct {
	Journal  *job.Journal
	Registry *metrics.Registry
	Metrics  bool // serve /metrics
	Log      *slog.Logger
	Release  string // for the OpenAPI document
}

// Server serves a table of operations.
type Server struct {
	opt     Options
	ops     []Operation
	handler http.Handler
}

// New checks the table and makes the routes.
func New(opt Options, ops []Operation) (*Server, error) {
	s := &Server{opt: opt}
	s.ops = append(s.ops, ops...)
	s.ops = append(s.ops, jobOperations(opt.Journal)...)
	s.ops = append(s.ops, factsOperation(opt.Registry))
	mux := http.NewServeMux()
	names := map[string]bool{}
	for _, op := range s.ops {
		if names[op.Name] || (op.Run == nil) == (op.Job == nil) || op.Request == nil {
			return nil, fmt.Errorf("admin: operation %s is there twice or not whole", op.Name)
		}
		names[op.Name] = true
		mux.Handle(op.Method+" "+prefix+op.Path, s.serve(op))
	}
	document, err := openAPI(opt.Release, s.ops)
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(document)
	})
	if opt.Metrics {
		mux.Handle("GET /metrics", opt.Registry.Handler())
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, report.Errorf(report.NotFound, "no operation %s %s; see /openapi.json", r.Method, r.URL.Path))
	})
	s.handler = s.guard(mux)
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves until the context ends, then waits a little for requests that run.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytesMax, ErrorLog: slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("admin: serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = srv.Close()
	}
	if served := <-ended; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// guard lets only requests through that the operator meant. A web page in the
// operator's browser can reach loopback too: by its own name bound to
// 127.0.0.1 (the Host header gives it away), or by a request across origins
// (Origin and Sec-Fetch-Site do).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		origin := r.Header.Get("Origin")
		switch {
		case !loopbackName(r.Host):
			s.fail(w, r, report.Errorf(report.Forbidden, "host %q is not a loopback name", r.Host))
		case origin != "" && origin != "http://"+r.Host, site != "" && site != "same-origin" && site != "none":
			s.fail(w, r, report.Errorf(report.Forbidden, "requests from other sites are not served"))
		default:
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r)
		}
	})
}

// loopbackName tells whether a Host header names this machine's loopback.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// serve is the handler of one operation.
func (s *Server) serve(op Operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		request, err := decode(op, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if op.Job != nil {
			one, err := s.opt.Journal.Start(op.Name, op.Target(request), func(ctx context.Context, p *job.Progress) error {
				return op.Job(ctx, request, p)
			})
			s.answer(w, r, http.StatusAccepted, one, err)
			return
		}
		deadline := op.Deadline
		if deadline == 0 {
			deadline = deadlineDefault
		}
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		response, err := op.Run(ctx, request)
		if err != nil && ctx.Err() == context.DeadlineExceeded {
			err = report.Errorf(report.Timeout, "%s took longer than %s: %v", op.Name, deadline, err)
		}
		s.answer(w, r, http.StatusOK, response, err)
	})
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, code int, response any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	text, err := json.Marshal(response)
	if err != nil {
		s.fail(w, r, fmt.Errorf("admin: encode the answer of %s: %w", r.URL.Path, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n'))
}

// statusOf gives each kind of error its HTTP status.
func statusOf(kind report.ErrorKind) int {
	switch kind {
	case report.Invalid:
		return http.StatusBadRequest
	case report.NotFound:
		return http.StatusNotFound
	case report.Conflict:
		return http.StatusConflict
	case report.Overloaded:
		return http.StatusServiceUnavailable
	case report.Unsupported:
		return http.StatusNotImplemented
	case report.Forbidden:
		return http.StatusForbidden
	case report.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// fail answers {"error": {"kind", "message"}}.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var told *report.Error
	if !errors.As(err, &told) {
		told = report.Errorf(report.Internal, "%v", err)
		s.opt.Log.Error("admin operation failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	text, err := json.Marshal(struct {
		Error *report.Error `json:"error"`
	}{told})
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(told.Kind))
	w.Write(append(text, '\n'))
}
