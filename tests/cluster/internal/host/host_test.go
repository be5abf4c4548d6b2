package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPackagesAreListed checks that every package that an error message names
// is one that packages.txt has installed.
func TestPackagesAreListed(t *testing.T) {
	data, err := os.ReadFile("../../packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(data))
	if !slices.IsSorted(listed) {
		t.Error("packages.txt is not sorted")
	}
	needed := []string{networkPackage}
	for _, pkg := range packageOf {
		needed = append(needed, pkg)
	}
	for _, pkg := range needed {
		if !slices.Contains(listed, pkg) {
			t.Errorf("packages.txt lacks %s", pkg)
		}
	}
}

// TestExplain checks that the kernel's limit on watchers is told with the
// next step, and that no other error changes.
func TestExplain(t *testing.T) {
	watchers := errors.New("kubelet ended: inotify_init: too many open files")
	for limit, want := range map[string]string{"128": "max_user_instances=1024 (now 128)", "2048": "max_user_instances=4096 (now 2048)"} {
		if got := explain(watchers, limit).Error(); !strings.Contains(got, want) || !strings.Contains(got, watchers.Error()) {
			t.Errorf("with limit %s: %s", limit, got)
		}
	}
	other := errors.New("open /x: too many open files")
	if got := explain(other, "128"); got != other {
		t.Errorf("changed: %s", got)
	}
	if explain(nil, "128") != nil {
		t.Error("no error became one")
	}
}

// TestProcessIdentity follows a process from its start to its end.
func TestProcessIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("a running process is said to be gone")
	}
	stranger := p
	stranger.Start++
	if stranger.Alive() {
		t.Error("another process with the same id is taken for ours")
	}
	if err := stranger.Kill(context.Background()); err != nil || !p.Alive() {
		t.Errorf("a stale record hit a stranger (%v)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Kill(ctx); err != nil {
		t.Error(err)
	}
	if p.Alive() { // not waited for, so it is a zombie
		t.Error("a zombie is said to be alive")
	}
	_ = cmd.Wait()
}

// TestLockFolder checks that a lock is one, and that it survives the removal
// of the folder by its holder.
func TestLockFolder(t *testing.T) {
	dir := t.TempDir() + "/state"
	release, err := LockFolder(context.Background(), dir, func() { t.Error("waited for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := LockFolder(ctx, dir, func() { waited = true }); err == nil || !waited {
		t.Errorf("two hold the lock (waited: %v)", waited)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	release()
	again, err := LockFolder(context.Background(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	again()
}
