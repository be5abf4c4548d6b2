package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"telectl.test/images/oci"
)

// libraryLine matches what ldd says of a library that it found.
var libraryLine = regexp.MustCompile(`(?:=>\s+)?(/\S+)\s+\(0x`)

// addProgram adds a program of the host under the given name, with every
// library that it needs.
func addProgram(root *oci.Tree, name, source string) error {
	if err := root.HostFile(name, source); err != nil {
		return err
	}
	return addLibraries(root, source)
}

// addLibraries adds the libraries that a program or library needs, each under
// the path where the loader looks for it.
func addLibraries(root *oci.Tree, source string) error {
	cmd := exec.Command("ldd", source)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(string(out)+stderr.String(), "not a dynamic executable") {
			return nil
		}
		return fmt.Errorf("list the libraries of %s: %w: %s", source, err, strings.TrimSpace(stderr.String()))
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "not found") {
			return fmt.Errorf("%s needs a library that this machine lacks: %s", source, strings.TrimSpace(line))
		}
		match := libraryLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		// The folder may be a link (/lib is one to /usr/lib): name the file in
		// the real one. The file keeps the name that the program asks for.
		dir, err := filepath.EvalSymlinks(filepath.Dir(match[1]))
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.Base(match[1]))
		if root.Has(name) {
			continue
		}
		if err := root.HostFile(name, match[1]); err != nil {
			return err
		}
	}
	return nil
}

// addResolver adds what glibc loads by itself to look up users and hosts. A
// glibc that has it built in ships empty ones, or none.
func addResolver(root *oci.Tree) error {
	for _, name := range []string{"libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"} {
		file, ok := findLibrary(name)
		if !ok {
			continue
		}
		if err := root.HostFile(file, file); err != nil {
			return err
		}
		if err := addLibraries(root, file); err != nil {
			return err
		}
	}
	return nil
}

// findLibrary looks for a library where the loader does.
func findLibrary(name string) (string, bool) {
	for _, pattern := range []string{"/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/*-linux-gnu", "/lib64", "/lib"} {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err == nil && len(found) > 0 {
			return found[0], true
		}
	}
	return "", false
}

// find returns the first of the host's files that exists.
func find(pkg string, files ...string) (string, error) {
	for _, file := range files {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is missing; run: apt-get install -y %s", files[0], pkg)
}
