package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/node"
	"telectl.test/cluster/internal/spec"
	"telectl.test/images/oci"
)

// LoadImages imports image archives into the named clusters, or all.
func (f *Fleet) LoadImages(ctx context.Context, names, archives []string) error {
	clusters, err := f.selected(names)
	if err != nil {
		return err
	}
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	for i, c := range clusters {
		wg.Go(func() {
			for _, archive := range archives {
				image, err := importImage(ctx, c, archive)
				if err != nil {
					errs[i] = err
					return
				}
				fmt.Fprintf(f.out, "%s: loaded %s\n", c.Name, image)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// selected returns the named clusters that run, or all.
func (f *Fleet) selected(names []string) ([]spec.Cluster, error) {
	if len(names) == 0 {
		known, err := f.Clusters()
		if err != nil {
			return nil, err
		}
		for _, c := range known {
			names = append(names, c.Name)
		}
		if len(names) == 0 {
			return nil, errors.New("no cluster runs; start one: testcluster up NAME")
		}
	}
	var clusters []spec.Cluster
	for _, name := range names {
		c, err := f.Get(name)
		if err != nil {
			return nil, err
		}
		if c.Kind != spec.Whole {
			return nil, fmt.Errorf("cluster %s is %s: nothing in it runs an image", name, c.Kind)
		}
		clusters = append(clusters, c)
	}
	return clusters, nil
}

// loadPause packs and imports the image that every pod's sandbox runs.
func (f *Fleet) loadPause(ctx context.Context, c spec.Cluster) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	root := oci.NewTree()
	if err := root.HostFile("/pause", filepath.Join(filepath.Dir(program), "pause")); err != nil {
		return fmt.Errorf("%w; build it again: tests/cluster/build.sh", err)
	}
	archive := c.Path("pause.tar")
	image := oci.Image{Name: node.PauseImage, Root: root, Config: oci.Config{Entrypoint: []string{"/pause"}}}
	if err := image.WriteFile(archive); err != nil {
		return err
	}
	err = host.Until(ctx, "containerd to take images", func() (bool, error) {
		if !c.Agent.Alive() {
			return false, fmt.Errorf("its first process ended: %s", host.LastLine(c.Log("agent")))
		}
		conn, err := net.Dial("unix", c.Runtime())
		if err == nil {
			conn.Close()
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	_, err = importImage(ctx, c, archive)
	return err
}

// importImage hands an archive to a cluster's containerd and returns the
// names that it found in it.
func importImage(ctx context.Context, c spec.Cluster, archive string) (string, error) {
	cmd := exec.CommandContext(ctx, "ctr", "--address", c.Runtime(), "--namespace", "k8s.io", "images", "import", archive)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// It must not outlive this command, which may be killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("load %s into cluster %s: %w: %s", archive, c.Name, err, strings.TrimSpace(stderr.String()))
	}
	var names []string
	for _, line := range strings.Split(stdout.String(), "\n") {
		if rest, ok := strings.CutPrefix(line, "unpacking "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("load %s into cluster %s: it names no image; pack it with packimage", archive, c.Name)
	}
	return join(names), nil
}
