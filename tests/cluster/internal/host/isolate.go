package host

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// privateFolders are the places outside the state folder where a runtime and
// a kubelet keep sockets, mounts and records. A cluster gets its own, so that
// clusters do not see each other's and nothing of them stays behind.
var privateFolders = []string{"/run", "/var/lib", "/var/log"}

// IsolateMounts gives this process, alone in a new mount and process name
// space, its own view of the file system. keep are the folders that must stay
// the machine's own even where they lie below a private one.
func IsolateMounts(keep ...string) error {
	// Nothing mounted here may reach the machine; but mounts made here must
	// reach the containers, hence shared again among ourselves.
	for _, mode := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|mode, ""); err != nil {
			return fmt.Errorf("detach the mounts: %w", err)
		}
	}
	kept := map[string]int{}
	for _, dir := range keep {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		defer unix.Close(fd)
		kept[dir] = fd
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range privateFolders {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return fmt.Errorf("find %s: %w", dir, err)
		}
		if err := unix.Mount("tmpfs", real, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("make a private %s: %w", dir, err)
		}
	}
	for dir, fd := range kept {
		if err := showAgain(dir, fd); err != nil {
			return err
		}
	}
	return nil
}

// showAgain mounts a folder, held open since before it was hidden, at its
// own place.
func showAgain(dir string, fd int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the mount point %s: %w", dir, err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s again: %w", dir, err)
	}
	return nil
}

// WriteSysctl sets a kernel setting of the current network name space.
func WriteSysctl(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}
