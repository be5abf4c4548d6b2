package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// LockFolder makes a folder and takes an exclusive lock on it, which ends
// with this process at the latest. onWait is called once when someone else
// holds it.
func LockFolder(ctx context.Context, dir string, onWait func()) (release func(), err error) {
	waited := false
	var held *os.File
	err = Until(ctx, "the lock on "+dir, func() (bool, error) {
		file, err := tryLock(dir)
		if err != nil || file != nil {
			held = file
			return file != nil, err
		}
		if !waited {
			waited = true
			onWait()
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return func() { held.Close() }, nil
}

// tryLock returns nil without an error when another process holds the lock,
// or removed the folder between our opening and locking it.
func tryLock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	file, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the state folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	mine, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	if now, err := os.Stat(dir); err != nil || !os.SameFile(mine, now) {
		file.Close()
		return nil, nil
	}
	return file, nil
}
