package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Config is the part of an image's configuration that a container runtime
// reads when it starts a container.
type Config struct {
	User         string              `json:"User,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
}

// Image is one image: its full name with tag, its files and how it starts.
type Image struct {
	Name   string
	Root   *Tree
	Config Config
}

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type imageConfig struct {
	platform
	Config Config `json:"config"`
	RootFS rootFS `json:"rootfs"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// WriteFile writes the image as an OCI archive. The file appears complete or
// not at all: it is written beside its place and renamed.
func (img Image) WriteFile(file string) error {
	if err := img.writeFile(file); err != nil {
		return fmt.Errorf("pack image %s: %w", img.Name, err)
	}
	return nil
}

func (img Image) writeFile(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	layer, err := os.CreateTemp(dir, ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	hash := sha256.New()
	if err := img.Root.writeTar(io.MultiWriter(layer, hash)); err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	desc := descriptor{MediaType: layerType, Digest: digest(hash.Sum(nil)), Size: size}

	out, err := os.CreateTemp(dir, ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := img.writeArchive(out, desc, layer); err != nil {
		return err
	}
	if err := out.Chmod(0o644); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

// writeArchive writes the OCI image layout around a layer that lies in a file.
func (img Image) writeArchive(w io.Writer, layer descriptor, content *os.File) error {
	target := platform{Architecture: runtime.GOARCH, OS: "linux"}
	config, err := json.Marshal(imageConfig{
		platform: target,
		Config:   img.Config,
		RootFS:   rootFS{Type: "layers", DiffIDs: []string{layer.Digest}},
	})
	if err != nil {
		return err
	}
	configDesc := describe(configType, config)
	man, err := json.Marshal(manifest{2, manifestType, configDesc, []descriptor{layer}})
	if err != nil {
		return err
	}
	manDesc := describe(manifestType, man)
	manDesc.Platform = &target
	manDesc.Annotations = map[string]string{
		"io.containerd.image.name":          img.Name,
		"org.opencontainers.image.ref.name": img.Name[strings.LastIndex(img.Name, ":")+1:],
	}
	idx, err := json.Marshal(index{2, indexType, []descriptor{manDesc}})
	if err != nil {
		return err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}

	out := tar.NewWriter(w)
	for _, part := range []struct {
		name string
		size int64
		data io.Reader
	}{
		{"oci-layout", int64(len(layoutFile)), strings.NewReader(layoutFile)},
		{"index.json", int64(len(idx)), bytes.NewReader(idx)},
		{blob(manDesc.Digest), manDesc.Size, bytes.NewReader(man)},
		{blob(configDesc.Digest), configDesc.Size, bytes.NewReader(config)},
		{blob(layer.Digest), layer.Size, content},
	} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: part.name, Mode: 0o644, Size: part.size}); err != nil {
			return err
		}
		if _, err := io.Copy(out, part.data); err != nil {
			return err
		}
	}
	return out.Close()
}

const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

func digest(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

func blob(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

func describe(mediaType string, data []byte) descriptor {
	sum := sha256.Sum256(data)
	return descriptor{MediaType: mediaType, Digest: digest(sum[:]), Size: int64(len(data))}
}
