// Package fleet makes, shows and removes the test clusters of one state
// folder.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/spec"
)

const (
	// defaultState is not below /run, which is often kept in memory and too
	// small for images and volumes.
	defaultState = "/var/lib/telectl-test"
	// lockTimeout bounds the wait for another command on the same clusters.
	lockTimeout = 5 * time.Minute
	// removeTimeout bounds the removal of one cluster.
	removeTimeout = 20 * time.Second
)

// Fleet is the clusters of one state folder.
type Fleet struct {
	state string
	out   io.Writer // progress, for a person to read
}

// Open returns the fleet of $TELECTL_TEST_STATE, or of the usual folder.
func Open(out io.Writer) (*Fleet, error) {
	state := os.Getenv("TELECTL_TEST_STATE")
	if state == "" {
		state = defaultState
	}
	state, err := filepath.Abs(state)
	if err != nil {
		return nil, err
	}
	// A socket's path has room for 107 bytes, and the longest of ours is
	// below the folder of the cluster with the longest name.
	if len(state) > 50 {
		return nil, fmt.Errorf("the state folder %s has too long a path; set TELECTL_TEST_STATE to one of at most 50 bytes", state)
	}
	return &Fleet{state: state, out: out}, nil
}

// Kubeconfig is the file with a context for each cluster.
func (f *Fleet) Kubeconfig() string { return filepath.Join(f.state, "kubeconfig") }

// Clusters lists the clusters on record.
func (f *Fleet) Clusters() ([]spec.Cluster, error) { return spec.List(f.state) }

// Get returns a cluster that runs.
func (f *Fleet) Get(name string) (spec.Cluster, error) {
	c, err := spec.Load(f.state, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("there is no cluster %s; start it: testcluster up %s", name, name)
	}
	if err == nil && !c.Agent.Alive() {
		err = fmt.Errorf("cluster %s does not run any more; start it again: testcluster up %s", name, name)
	}
	return c, err
}

// lock keeps other commands from changing the same clusters.
func (f *Fleet) lock(ctx context.Context) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	return host.LockFolder(ctx, f.state, func() {
		fmt.Fprintln(f.out, "waiting for another testcluster command to end")
	})
}

// instance says which bridge belongs to the state folder.
type instance struct {
	Number int `json:"number"`
}

func (f *Fleet) instanceFile() string { return filepath.Join(f.state, "instance.json") }

// network returns the number of the state folder's bridge, making one where
// there is none. A bridge carries the path of its state folder, so that no
// two folders share one.
func (f *Fleet) network() (int, error) {
	candidates := []int{}
	if known, ok, err := f.readInstance(); err != nil {
		return 0, err
	} else if ok {
		candidates = append(candidates, known.Number)
	}
	for number := range spec.MaxInstances {
		candidates = append(candidates, number)
	}
	for _, number := range candidates {
		// The record comes first, so that no bridge is ever without one.
		data, err := json.Marshal(instance{number})
		if err == nil {
			err = spec.WriteFile(f.instanceFile(), data, 0o644)
		}
		if err != nil {
			return 0, fmt.Errorf("record the bridge: %w", err)
		}
		owned, err := host.MakeBridge(spec.Bridge(number), f.state, spec.BridgeNet(number))
		if err != nil {
			return 0, err
		}
		if owned {
			return number, nil
		}
	}
	return 0, fmt.Errorf("all %d networks for test clusters are in use; stop some in another state folder: testcluster down", spec.MaxInstances)
}

func (f *Fleet) readInstance() (known instance, ok bool, err error) {
	data, err := os.ReadFile(f.instanceFile())
	if errors.Is(err, fs.ErrNotExist) {
		return known, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil {
		return known, false, fmt.Errorf("read %s: %w", f.instanceFile(), err)
	}
	return known, true, nil
}

// sweep removes what is left of clusters that do not run any more.
func (f *Fleet) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(f.state)
	if err != nil {
		return fmt.Errorf("list the clusters: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		c, err := spec.Load(f.state, entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			// Killed while it recorded its first cluster, or no folder of
			// ours: only an empty one goes.
			_ = os.Remove(filepath.Join(f.state, entry.Name(), spec.RecordName+".part"))
			_ = os.Remove(filepath.Join(f.state, entry.Name()))
			continue
		}
		if err != nil || !c.Agent.Alive() {
			fmt.Fprintf(f.out, "%s: clearing what a stopped run left\n", entry.Name())
			errs = append(errs, f.remove(ctx, c))
		}
	}
	return errors.Join(errs...)
}

// remove ends a cluster and removes everything it made.
func (f *Fleet) remove(ctx context.Context, c spec.Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, removeTimeout, fmt.Errorf("not done after %s", removeTimeout))
	defer cancel()
	// The end of its first process is the end of all its processes, mounts
	// and links; what is left are folders.
	if err := c.Agent.Kill(ctx); err != nil {
		return fmt.Errorf("stop cluster %s: %w", c.Name, err)
	}
	err := errors.Join(
		host.RemoveLink(c.Link()),
		host.RemoveCgroup(ctx, c.Cgroup()),
	)
	if err == nil {
		err = removeFolder(c)
	}
	if err != nil {
		return fmt.Errorf("remove cluster %s: %w; run again: testcluster down %s", c.Name, err, c.Name)
	}
	return nil
}

// removeFolder removes a cluster's folder, its record last: without it, what
// a killed removal leaves would be nobody's.
func removeFolder(c spec.Cluster) error {
	entries, err := os.ReadDir(c.Dir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == spec.RecordName {
			continue
		}
		if err := os.RemoveAll(c.Path(entry.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.Dir())
}

func join(names []string) string { return strings.Join(names, ", ") }
