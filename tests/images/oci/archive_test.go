package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func sample() Image {
	root := NewTree()
	root.Bytes("/usr/local/bin/program", 0o755, []byte("content"))
	root.Symlink("/bin", "usr/bin")
	root.OwnedDir("/data", 0o1777, 999, 999)
	return Image{Name: "localhost/sample:1", Root: root, Config: Config{Entrypoint: []string{"/usr/local/bin/program"}}}
}

// members returns the files of a tar archive by name.
func members(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

// TestArchive follows an archive from its index to the file in its layer.
func TestArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.tar")
	if err := sample().WriteFile(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := members(t, data)
	var idx index
	var man manifest
	if err := json.Unmarshal(files["index.json"], &idx); err != nil {
		t.Fatal(err)
	}
	if name := idx.Manifests[0].Annotations["io.containerd.image.name"]; name != "localhost/sample:1" {
		t.Errorf("the index names the image %q", name)
	}
	if err := json.Unmarshal(files[blob(idx.Manifests[0].Digest)], &man); err != nil {
		t.Fatal(err)
	}
	layer := members(t, files[blob(man.Layers[0].Digest)])
	if got := string(layer["usr/local/bin/program"]); got != "content" {
		t.Errorf("the program holds %q", got)
	}
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/", "data/"} {
		if _, ok := layer[dir]; !ok {
			t.Errorf("the layer lacks the folder %s", dir)
		}
	}
}

// TestReproducible packs the same twice.
func TestReproducible(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		file := filepath.Join(t.TempDir(), "sample.tar")
		if err := sample().WriteFile(file); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = data
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same image gives different archives")
	}
}

func TestMissingFile(t *testing.T) {
	if err := NewTree().HostFile("/x", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was added")
	}
}
