package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

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
