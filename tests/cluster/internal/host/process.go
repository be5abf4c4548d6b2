// Package host is what a cluster needs from the machine it runs on:
// processes, name spaces, cgroups, links and locks.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process names one process for as long as the machine runs. A process id
// alone is used again by the kernel; together with the start time and the
// boot it is not, so that a stale record never hits a stranger.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
}

// Identify returns the identity of a running process.
func Identify(pid int) (Process, error) {
	_, start, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive tells whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	state, _, err := readStat(p.PID)
	if err != nil || state == "Z" || state == "X" {
		return false
	}
	now, err := Identify(p.PID)
	return err == nil && now == p
}

// Kill ends the process and returns once it is gone.
func (p Process) Kill(ctx context.Context) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return Until(ctx, fmt.Sprintf("process %d to end", p.PID), func() (bool, error) {
		return !p.Alive(), nil
	})
}

// readStat returns a process's state letter and start time in clock ticks.
func readStat(pid int) (state string, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	// The second field is the program's name in brackets and may itself hold
	// blanks and brackets: what counts starts after the last bracket.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("/proc/%d/stat has too few fields", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}

// Namespace returns the identity of one of a process's name spaces, for
// example "net" or "pid".
func Namespace(pid int, kind string) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
}

// Inside lists the processes in the same process name space as the given
// one: by the id that they have inside, the id that they have here.
func (p Process) Inside() (map[int]int, error) {
	space, err := Namespace(p.PID, "pid")
	if err != nil {
		return nil, fmt.Errorf("read the name space of process %d: %w", p.PID, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	inside := map[int]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if other, err := Namespace(pid, "pid"); err != nil || other != space {
			continue // gone meanwhile, or elsewhere
		}
		if inner, ok := innerID(pid); ok {
			inside[inner] = pid
		}
	}
	return inside, nil
}

// innerID returns the id that a process has in its own process name space.
func innerID(pid int) (int, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for _, line := range strings.Split(string(data), "\n") {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			inner, err := strconv.Atoi(fields[len(fields)-1])
			return inner, err == nil
		}
	}
	return 0, false
}

// Until asks check again and again until it says yes, fails, or the context
// ends; the error then names what was waited for and what check last said.
func Until(ctx context.Context, what string, check func() (bool, error)) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := check()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// LastLine returns the end of a log, for an error to quote.
func LastLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}
