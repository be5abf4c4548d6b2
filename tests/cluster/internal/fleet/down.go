package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/spec"
)

// Down removes the named clusters, or all, and with the last one the bridge
// and the state folder.
func (f *Fleet) Down(ctx context.Context, names []string) error {
	if _, err := os.Stat(f.state); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(f.out, "no cluster runs")
		return nil
	}
	release, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := f.sweep(ctx); err != nil {
		return err
	}
	clusters, err := f.Clusters()
	if err != nil {
		return err
	}
	if err := checkKnown(names, clusters); err != nil {
		return err
	}
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	left := 0
	for i, c := range clusters {
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			left++
			continue
		}
		wg.Go(func() {
			started := time.Now()
			if errs[i] = f.remove(ctx, c); errs[i] == nil {
				fmt.Fprintf(f.out, "%s: removed in %.1f s\n", c.Name, time.Since(started).Seconds())
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if left > 0 {
		return f.writeKubeconfig()
	}
	return f.removeState()
}

// checkKnown notes names without a cluster: most likely mistyped, but what
// was asked for, their absence, is so.
func checkKnown(names []string, clusters []spec.Cluster) error {
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return err
		}
		known := slices.ContainsFunc(clusters, func(c spec.Cluster) bool { return c.Name == name })
		if !known {
			fmt.Fprintf(os.Stderr, "%s: no such cluster runs\n", name)
		}
	}
	return nil
}

// removeState removes the bridge and the folder of a fleet without clusters.
func (f *Fleet) removeState() error {
	known, ok, err := f.readInstance()
	if err != nil {
		return err
	}
	if ok {
		if err := host.RemoveBridge(spec.Bridge(known.Number), f.state); err != nil {
			return err
		}
	}
	for _, file := range []string{f.instanceFile(), f.Kubeconfig()} {
		for _, each := range []string{file, file + ".part"} {
			if err := os.Remove(each); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	// Only our own files: the folder itself may be someone's choice and hold
	// more, and then it stays.
	if err := os.Remove(f.state); err != nil {
		rest, _ := filepath.Glob(filepath.Join(f.state, "*"))
		fmt.Fprintf(f.out, "%s stays: it holds %d other files\n", f.state, len(rest))
	}
	return nil
}
