package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"telectl.test/images/oci"
)

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// user is an account that an image knows by name.
type user struct {
	name string
	id   int
	home string
}

// newBase returns the folders and files that every image has. The folders
// that are links on the host are the same links here, so that the libraries'
// paths fit.
func newBase(users ...user) *oci.Tree {
	root := oci.NewTree()
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if target, err := os.Readlink(dir); err == nil {
			root.Symlink(dir, target)
			root.Dir("/"+strings.TrimPrefix(target, "/"), 0o755)
		}
	}
	for _, dir := range []string{"/etc", "/run", "/usr", "/usr/local/bin", "/var", "/var/lib"} {
		root.Dir(dir, 0o755)
	}
	root.Dir("/tmp", 0o1777)
	root.Dir("/var/tmp", 0o1777)
	root.Symlink("/var/run", "/run")
	passwd, group := "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
	for _, u := range append(users, user{"nobody", 65534, "/nonexistent"}) {
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", u.name, u.id, u.id, u.home)
		group += fmt.Sprintf("%s:x:%d:\n", u.name, u.id)
	}
	root.Bytes("/etc/passwd", 0o644, []byte(passwd))
	root.Bytes("/etc/group", 0o644, []byte(group))
	root.Bytes("/etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"))
	return root
}

// addShell adds busybox and a link for each of its commands, and the full
// setpriv, with which the entry points leave root.
func addShell(root *oci.Tree) error {
	busybox, err := find("busybox-static", "/usr/bin/busybox", "/bin/busybox")
	if err != nil {
		return err
	}
	if out, _ := exec.Command("ldd", busybox).CombinedOutput(); !strings.Contains(string(out), "not a dynamic executable") &&
		!strings.Contains(string(out), "statically linked") {
		return fmt.Errorf("%s is not static; run: apt-get install -y busybox-static", busybox)
	}
	if err := root.HostFile("/usr/bin/busybox", busybox); err != nil {
		return err
	}
	commands, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("list the commands of busybox: %w", err)
	}
	for _, name := range strings.Fields(string(commands)) {
		if name != "busybox" {
			root.Symlink("/usr/bin/"+name, "busybox")
		}
	}
	if !root.Has("/bin") { // on a host whose /bin is a folder of its own
		root.Symlink("/bin", "usr/bin")
	}
	setpriv, err := find("util-linux", "/usr/bin/setpriv")
	if err != nil {
		return err
	}
	return addProgram(root, "/usr/bin/setpriv", setpriv)
}
