package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
	"time"

	"telectl.test/cluster/internal/spec"
)

// The phases of a cluster.
const (
	Starting = "starting"
	Ready    = "ready"
	Failed   = "failed"
)

// Status is what the first process of a cluster knows about it.
type Status struct {
	Phase      string      `json:"phase"`
	Waiting    string      `json:"waiting,omitempty"`
	Error      string      `json:"error,omitempty"`
	Components []Component `json:"components"`
}

// Down lists the components that do not run.
func (s Status) Down() []string {
	var names []string
	for _, c := range s.Components {
		if c.State != Running {
			names = append(names, c.Name)
		}
	}
	return names
}

// controlTimeout bounds one request to a cluster's first process.
const controlTimeout = 20 * time.Second

func socket(c spec.Cluster) string { return c.Path("agent.sock") }

// serve answers requests on a socket in the cluster's folder, which is how
// commands in other name spaces reach this process.
func (a *agent) serve() error {
	listener, err := net.Listen("unix", socket(a.cluster))
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		status := a.status
		a.mu.Unlock()
		status.Components = a.super.list()
		_ = json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("POST /components/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		if err := a.act(r.Context(), r.PathValue("name"), r.PathValue("action")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	go func() { log.Printf("control: %v", http.Serve(listener, mux)) }()
	return nil
}

// act does to a component what a test asks for.
func (a *agent) act(ctx context.Context, name, action string) error {
	switch action {
	case "start":
		return a.super.restart(name)
	case "stop":
		return a.super.stop(ctx, name)
	case "freeze":
		return a.super.signal(name, syscall.SIGSTOP, Frozen)
	case "thaw":
		return a.super.signal(name, syscall.SIGCONT, Running)
	}
	return fmt.Errorf("unknown action %q; use start, stop, freeze or thaw", action)
}

// Client talks to the first process of a cluster.
type Client struct {
	cluster spec.Cluster
	http    http.Client
}

// Dial returns a client; it connects with the first request.
func Dial(c spec.Cluster) *Client {
	return &Client{cluster: c, http: http.Client{Timeout: controlTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket(c))
		},
	}}}
}

// Status asks how the cluster is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	body, err := c.send(ctx, http.MethodGet, "/status")
	if err == nil {
		err = json.Unmarshal(body, &status)
	}
	return status, err
}

// Act starts, stops, freezes or thaws a component.
func (c *Client) Act(ctx context.Context, component, action string) error {
	_, err := c.send(ctx, http.MethodPost, "/components/"+component+"/"+action)
	return err
}

func (c *Client) send(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cluster %s does not answer: %w", c.cluster.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.cluster.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cluster %s: %w", c.cluster.Name, errors.New(string(bytes.TrimSpace(body))))
	}
	return body, nil
}
