package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupHierarchies returns the mount point of every hierarchy in which a
// cluster gets a group of its own: each controller's with cgroup v1 (and the
// unified one beside them, where runc also makes groups), the single one
// with v2.
func cgroupHierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	var roots []string
	for _, name := range []string{"blkio", "cpu", "cpuacct", "cpu,cpuacct", "cpuset", "devices", "freezer",
		"hugetlb", "memory", "net_cls", "net_prio", "net_cls,net_prio", "perf_event", "pids", "rdma", "misc", "systemd", "unified"} {
		dir := filepath.Join(cgroupRoot, name)
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() { // a link names a hierarchy listed elsewhere
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			roots = append(roots, dir)
		}
	}
	if len(roots) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted at " + cgroupRoot +
			"; mount cgroup v2 there, or run on a machine that does")
	}
	return roots, nil
}

// MakeCgroup makes a group of this name in every hierarchy, for the kubelet
// to put its pods into.
func MakeCgroup(name string) error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the cgroup %s: %w; cgroups must be writable here", dir, err)
		}
		switch {
		case root == cgroupRoot:
			err = enableControllers(root, dir)
		case filepath.Base(root) == "cpuset":
			err = inheritCpuset(root, dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enableControllers lets the groups below dir use every controller (v2).
func enableControllers(root, dir string) error {
	for _, group := range []string{root, dir} {
		available, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("read the controllers of cgroup %s: %w", group, err)
		}
		for _, controller := range strings.Fields(string(available)) {
			// One that cannot be enabled is not an error here: the kubelet
			// names those that it misses.
			_ = os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		}
	}
	return nil
}

// inheritCpuset gives a new v1 group the processors and memory nodes of its
// parent: it starts with none, and no process can join it then.
func inheritCpuset(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return fmt.Errorf("read %s of cgroup %s: %w", file, parent, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return fmt.Errorf("set %s of cgroup %s: %w", file, dir, err)
		}
	}
	return nil
}

// RemoveCgroup removes a group and those below it from every hierarchy. The
// kernel lets a group go only when its last process is gone, so it tries
// until the context ends.
func RemoveCgroup(ctx context.Context, name string) error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return nil // nothing mounted, so nothing made
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		err := Until(ctx, "cgroup "+dir+" to empty", func() (bool, error) {
			err := removeTree(dir)
			if errors.Is(err, syscall.EBUSY) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes a cgroup's folders from the leaves up; its files go
// with them and cannot be removed one by one.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list cgroup %s: %w", dir, err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
