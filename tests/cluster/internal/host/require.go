package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// watchLimit is the kernel's bound on the watchers of files that all
// processes of a user have at a time. Each cluster takes sixteen.
const watchLimit = "/proc/sys/fs/inotify/max_user_instances"

// packageOf names the Debian package of each program that a cluster needs.
var packageOf = map[string]string{
	"etcd":                    "etcd-server",
	"containerd":              "containerd",
	"containerd-shim-runc-v2": "containerd",
	"ctr":                     "containerd",
	"runc":                    "runc",
	"nft":                     "nftables",
}

const networkPackage = "containernetworking-plugins"

// NetworkPlugins returns the folder that holds the container network plugins.
func NetworkPlugins() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the network plugin ptp is missing; run: apt-get install -y " + networkPackage)
}

// CheckMachine says in one line why this machine cannot run clusters, and
// what to do about it.
func CheckMachine() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("test clusters need Linux, not %s; use a Linux machine or a virtual one", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("test clusters need root (name spaces, cgroups, mounts); run it with sudo")
	}
	var missing []string
	for program, pkg := range packageOf {
		if _, err := exec.LookPath(program); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if _, err := NetworkPlugins(); err != nil {
		missing = append(missing, networkPackage)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("programs are missing; run: apt-get install -y %s", strings.Join(missing, " "))
	}
	_, err := cgroupHierarchies()
	return err
}

// Explain adds to an error what to do on this machine, where that is known.
// Nil stays nil.
func Explain(err error) error {
	data, _ := os.ReadFile(watchLimit)
	return explain(err, strings.TrimSpace(string(data)))
}

func explain(err error, limit string) error {
	if err == nil || !strings.Contains(err.Error(), "inotify") || !strings.Contains(err.Error(), "too many open files") {
		return err
	}
	enough := 1024
	if now, wrong := strconv.Atoi(limit); wrong == nil {
		enough = max(enough, 2*now)
	}
	return fmt.Errorf("%w; too many clusters and other programs watch files at once: "+
		"end some, or run: sysctl -w fs.inotify.max_user_instances=%d (now %s)", err, enough, limit)
}
