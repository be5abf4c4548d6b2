package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"sync"
	"syscall"

	"telectl.test/cluster/internal/host"
)

// The states of a component, as status shows them.
const (
	Running = "running"
	Frozen  = "frozen"  // stopped by a signal, with its sockets open
	Stopped = "stopped" // ended because it was asked for
	Exited  = "exited"  // ended by itself
)

// Component is one process of a cluster. PID is the id inside the cluster.
type Component struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	State string `json:"state"`
	Exit  string `json:"exit,omitempty"`
}

// command is how a component is started.
type command struct {
	name    string
	program string
	argv    []string
	log     string
}

// supervisor starts the components and, being the first process of its name
// space, reaps every orphan in it. It waits for all children in one place:
// os/exec, which waits for its own, must not be used beside it.
type supervisor struct {
	mu         sync.Mutex
	components map[string]*Component
	commands   map[string]command
}

func newSupervisor() *supervisor {
	s := &supervisor{components: map[string]*Component{}, commands: map[string]command{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			s.reap()
		}
	}()
	return s
}

// reap collects every child that ended.
func (s *supervisor) reap() {
	// Start holds the lock until it has noted the new process's id, so that
	// one that ends at once is not mistaken for an orphan.
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, c := range s.components {
			if c.PID == pid && (c.State == Running || c.State == Frozen) {
				c.State, c.Exit = Exited, describeExit(status)
			}
		}
	}
}

func describeExit(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}

// start runs a component, and remembers how for the next time.
func (s *supervisor) start(c command) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.components[c.name]; old != nil && (old.State == Running || old.State == Frozen) {
		return nil
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	process, err := os.StartProcess(c.program, c.argv, &os.ProcAttr{
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	s.commands[c.name] = c
	s.components[c.name] = &Component{Name: c.name, PID: process.Pid, State: Running}
	return process.Release()
}

// restart starts a known component again.
func (s *supervisor) restart(name string) error {
	s.mu.Lock()
	c, ok := s.commands[name]
	s.mu.Unlock()
	if !ok {
		return unknown(name)
	}
	return s.start(c)
}

// stop kills a component and returns once it is gone. It is a hard kill:
// tests mean a crash, and a graceful end of an API server takes a minute.
func (s *supervisor) stop(ctx context.Context, name string) error {
	s.mu.Lock()
	c, ok := s.components[name]
	if !ok {
		s.mu.Unlock()
		return unknown(name)
	}
	running := c.State == Running || c.State == Frozen
	c.State, c.Exit = Stopped, ""
	pid := c.PID
	s.mu.Unlock()
	if !running {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	return host.Until(ctx, name+" to end", func() (bool, error) {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil
	})
}

// signal freezes or thaws a component.
func (s *supervisor) signal(name string, sig syscall.Signal, state string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.components[name]
	if !ok {
		return unknown(name)
	}
	if c.State != Running && c.State != Frozen {
		return fmt.Errorf("%s does not run; start it first", name)
	}
	if err := syscall.Kill(c.PID, sig); err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	c.State = state
	return nil
}

// list returns the components by name.
func (s *supervisor) list() []Component {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Component, 0, len(s.components))
	for _, c := range s.components {
		all = append(all, *c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// failed returns the components that ended by themselves.
func (s *supervisor) failed() error {
	var errs []error
	for _, c := range s.list() {
		if c.State == Exited {
			s.mu.Lock()
			log := s.commands[c.Name].log
			s.mu.Unlock()
			errs = append(errs, fmt.Errorf("%s ended with %s, saying: %s", c.Name, c.Exit, host.LastLine(log)))
		}
	}
	return errors.Join(errs...)
}

func unknown(name string) error { return fmt.Errorf("the cluster has no component %q", name) }
