package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/node"
	"telectl.test/cluster/internal/spec"
)

// upTimeout bounds one whole start. The cluster itself gives up sooner.
const upTimeout = 6 * time.Minute

// Up makes the named clusters run, all at the same time. Those that run
// already are left as they are, or mended.
func (f *Fleet) Up(ctx context.Context, kind spec.Kind, names []string) error {
	if err := host.CheckMachine(); err != nil {
		return err
	}
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return err
		}
	}
	release, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeoutCause(ctx, upTimeout, fmt.Errorf("not done after %s", upTimeout))
	defer cancel()
	if err := f.sweep(ctx); err != nil {
		return err
	}
	clusters, fresh, err := f.plan(kind, names)
	if err != nil {
		return err
	}
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	for i, c := range clusters {
		wg.Go(func() {
			if fresh[c.Name] {
				errs[i] = f.create(ctx, c)
			} else {
				errs[i] = f.mend(ctx, c)
			}
		})
	}
	wg.Wait()
	return host.Explain(errors.Join(append(errs, f.writeKubeconfig())...))
}

// plan finds or numbers each named cluster.
func (f *Fleet) plan(kind spec.Kind, names []string) (clusters []spec.Cluster, fresh map[string]bool, err error) {
	number, err := f.network()
	if err != nil {
		return nil, nil, err
	}
	known, err := f.Clusters()
	if err != nil {
		return nil, nil, err
	}
	fresh = map[string]bool{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		at := slices.IndexFunc(known, func(c spec.Cluster) bool { return c.Name == name })
		if at >= 0 {
			if found := known[at].Kind; found != kind {
				return nil, nil, fmt.Errorf("cluster %s runs already and is %s, not %s; remove it first: testcluster down %s", name, found, kind, name)
			}
			clusters = append(clusters, known[at])
			continue
		}
		c, err := spec.New(f.state, number, kind, name, known)
		if err != nil {
			return nil, nil, err
		}
		fresh[name] = true
		known = append(known, c)
		clusters = append(clusters, c)
	}
	return clusters, fresh, nil
}

// create starts a cluster and waits until it is usable. When that fails, its
// processes end, and its logs stay until the next up or down.
func (f *Fleet) create(ctx context.Context, c spec.Cluster) error {
	started := time.Now()
	// The record comes first: whatever is made from here on can be found.
	if err := c.Save(); err != nil {
		return err
	}
	if err := host.MakeCgroup(c.Cgroup()); err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	process, input, err := f.spawn(&c)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	err = f.bringUp(ctx, c, input)
	if err != nil {
		err = errors.Join(fmt.Errorf("cluster %s did not start: %w; its logs are in %s", c.Name, err, c.Path("log")), process.Kill())
		_, _ = process.Wait()
		return err
	}
	fmt.Fprintf(f.out, "%s: ready after %.1f s, context %s, %s\n", c.Name, time.Since(started).Seconds(), c.Name, c.APIURL())
	return process.Release()
}

// spawn starts the cluster's first process, in name spaces of its own, and
// records it. The process ends when the returned input does.
func (f *Fleet) spawn(c *spec.Cluster) (*os.Process, io.WriteCloser, error) {
	if err := os.MkdirAll(c.Path("log"), 0o755); err != nil {
		return nil, nil, err
	}
	output, err := os.Create(c.Log("agent"))
	if err != nil {
		return nil, nil, err
	}
	defer output.Close()
	program, err := node.LinkSelf(*c, "testcluster-agent")
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, "agent", c.State(), c.Name)
	cmd.Stdout, cmd.Stderr = output, output
	// Many small processes share few processors, and there is memory: they collect garbage less often.
	cmd.Env = append(os.Environ(), "TMPDIR="+c.Path("tmp"), "GOGC=400")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Setsid:     true,
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start it in its own name spaces: %w; this machine or container must allow them", err)
	}
	c.Agent, err = host.Identify(cmd.Process.Pid)
	if err == nil {
		err = c.Save()
	}
	if err != nil {
		return nil, nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd.Process, input, nil
}

// bringUp plugs in the network, waits until the cluster is usable, and lets
// it live on without this command.
func (f *Fleet) bringUp(ctx context.Context, c spec.Cluster, input io.WriteCloser) error {
	defer input.Close()
	if err := host.RemoveLink(c.Link()); err != nil {
		return err
	}
	if err := host.Connect(spec.Bridge(c.Instance), c.Link(), c.Agent.PID); err != nil {
		return err
	}
	if _, err := io.WriteString(input, node.Connected+"\n"); err != nil {
		return fmt.Errorf("tell it to start: %w", err)
	}
	if c.Kind == spec.Whole {
		if err := f.loadPause(ctx, c); err != nil {
			return err
		}
	}
	if err := waitReady(ctx, c); err != nil {
		return err
	}
	_, err := io.WriteString(input, node.Stay+"\n")
	return err
}

// waitReady waits until a cluster says that it is usable, or failed.
func waitReady(ctx context.Context, c spec.Cluster) error {
	client := node.Dial(c)
	var last node.Status
	err := host.Until(ctx, "it to be ready", func() (bool, error) {
		if !c.Agent.Alive() {
			return false, fmt.Errorf("its first process ended: %s", host.LastLine(c.Log("agent")))
		}
		status, err := client.Status(ctx)
		if err != nil {
			return false, nil // not listening yet
		}
		last = status
		if status.Phase == node.Failed {
			return false, errors.New(status.Error)
		}
		return status.Phase == node.Ready, nil
	})
	if err != nil && last.Waiting != "" {
		err = fmt.Errorf("%w (it waited for %s)", err, last.Waiting)
	}
	return err
}

// mend starts again what a test stopped, and removes the partitions it made.
func (f *Fleet) mend(ctx context.Context, c spec.Cluster) error {
	client := node.Dial(c)
	status, err := client.Status(ctx)
	if err != nil {
		return fmt.Errorf("%w; remove it: testcluster down %s", err, c.Name)
	}
	if err := f.unblock(c); err != nil {
		return err
	}
	down := status.Down()
	for _, component := range status.Components {
		action := map[string]string{node.Stopped: "start", node.Exited: "start", node.Frozen: "thaw"}[component.State]
		if action == "" {
			continue
		}
		if err := client.Act(ctx, component.Name, action); err != nil {
			return err
		}
	}
	if err := f.waitHealthy(ctx, c); err != nil {
		return fmt.Errorf("%w; remove it: testcluster down %s", err, c.Name)
	}
	if len(down) > 0 {
		fmt.Fprintf(f.out, "%s: runs again (%s had stopped), context %s\n", c.Name, join(down), c.Name)
		return nil
	}
	fmt.Fprintf(f.out, "%s: already running and healthy, context %s\n", c.Name, c.Name)
	return nil
}
