// Package oci writes container images as OCI archives, without Docker and
// without a registry, byte for byte the same for the same input.
package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// entry is one file, folder or symbolic link of a Tree.
type entry struct {
	kind   byte // one of tar.TypeReg, tar.TypeDir, tar.TypeSymlink
	mode   int64
	uid    int
	gid    int
	target string // of a symbolic link
	data   []byte // content, when source is empty
	source string // file of the host that holds the content
}

// Tree is the root file system of an image, keyed by absolute path.
type Tree struct {
	entries map[string]entry
}

// NewTree returns an empty root file system.
func NewTree() *Tree {
	return &Tree{entries: map[string]entry{}}
}

// Has tells whether the tree holds something at name.
func (t *Tree) Has(name string) bool {
	_, ok := t.entries[path.Clean(name)]
	return ok
}

// Dir adds a folder with the given permissions.
func (t *Tree) Dir(name string, mode int64) {
	t.entries[path.Clean(name)] = entry{kind: tar.TypeDir, mode: mode}
}

// OwnedDir adds a folder that belongs to a user other than root.
func (t *Tree) OwnedDir(name string, mode int64, uid, gid int) {
	t.entries[path.Clean(name)] = entry{kind: tar.TypeDir, mode: mode, uid: uid, gid: gid}
}

// Bytes adds a file with the given content.
func (t *Tree) Bytes(name string, mode int64, data []byte) {
	t.entries[path.Clean(name)] = entry{kind: tar.TypeReg, mode: mode, data: data}
}

// Symlink adds a symbolic link.
func (t *Tree) Symlink(name, target string) {
	t.entries[path.Clean(name)] = entry{kind: tar.TypeSymlink, mode: 0o777, target: target}
}

// HostFile adds a copy of a file of the host. It is read when the image is
// written; links are followed, so that name holds the content itself.
func (t *Tree) HostFile(name, source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("add %s to the image: %w", source, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("add %s to the image: it is no regular file", source)
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	t.entries[path.Clean(name)] = entry{kind: tar.TypeReg, mode: mode, source: source}
	return nil
}

// HostFolder adds a folder of the host and what lies below it, except the
// paths (relative to the folder) that skip names.
func (t *Tree) HostFolder(name, source string, skip func(rel string) bool) error {
	return filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("add %s to the image: %w", source, err)
		}
		rel, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		if skip != nil && skip(rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		to := path.Join(name, rel)
		switch {
		case d.IsDir():
			t.Dir(to, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			return t.hostLink(to, file, source)
		case d.Type().IsRegular():
			return t.HostFile(to, file)
		}
		return nil
	})
}

// hostLink copies a link whose target lies in the same folder as a link, and
// any other as the content it leads to, which the image may not have.
func (t *Tree) hostLink(to, file, root string) error {
	target, err := os.Readlink(file)
	if err != nil {
		return fmt.Errorf("add %s to the image: %w", file, err)
	}
	if !filepath.IsAbs(target) {
		full := filepath.Join(filepath.Dir(file), target)
		if strings.HasPrefix(full, root+string(filepath.Separator)) {
			t.Symlink(to, target)
			return nil
		}
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil // a dangling link of the host is of no use in the image
	case info.IsDir():
		return t.HostFolder(to, file+"/.", nil)
	default:
		return t.HostFile(to, file)
	}
}

// addParents adds the folders that the tree's paths need and do not name.
func (t *Tree) addParents() {
	missing := map[string]bool{}
	for name := range t.entries {
		for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
			if !t.Has(dir) {
				missing[dir] = true
			}
		}
	}
	for dir := range missing {
		t.Dir(dir, 0o755)
	}
}

// writeTar writes the tree as a layer: sorted, with every time at the epoch,
// so that equal trees give equal bytes.
func (t *Tree) writeTar(w io.Writer) error {
	t.addParents()
	names := make([]string, 0, len(t.entries))
	for name := range t.entries {
		if name != "/" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	out := tar.NewWriter(w)
	for _, name := range names {
		if err := writeEntry(out, strings.TrimPrefix(name, "/"), t.entries[name]); err != nil {
			return fmt.Errorf("write %s into the layer: %w", name, err)
		}
	}
	return out.Close()
}

func writeEntry(out *tar.Writer, name string, e entry) error {
	header := &tar.Header{Typeflag: e.kind, Name: name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Linkname: e.target}
	if e.kind != tar.TypeReg {
		if e.kind == tar.TypeDir {
			header.Name += "/"
		}
		return out.WriteHeader(header)
	}
	content, size, err := e.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Size = size
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return err
}

// open returns the content of a regular file and its size.
func (e entry) open() (io.ReadCloser, int64, error) {
	if e.source == "" {
		return io.NopCloser(bytes.NewReader(e.data)), int64(len(e.data)), nil
	}
	file, err := os.Open(e.source)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}
