package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"telectl.test/images/oci"
)

//go:embed files/redis-server.sh
var redisServer []byte

//go:embed files/redis-entrypoint.sh
var redisEntrypoint []byte

//go:embed files/postgres-entrypoint.sh
var postgresEntrypoint []byte

// set is a set of ports or folders, as image configurations write them.
type set = map[string]struct{}

// fixtures are the images of the servers that tests deploy, and of the pods'
// sandbox.
var fixtures = map[string]func() (oci.Image, error){
	"pause":    pauseImage,
	"redis":    redisImage,
	"postgres": postgresImage,
	"etcd":     etcdImage,
}

// pauseImage has one program, which lies beside this one.
func pauseImage() (oci.Image, error) {
	program, err := os.Executable()
	if err != nil {
		return oci.Image{}, err
	}
	root := oci.NewTree()
	err = root.HostFile("/pause", filepath.Join(filepath.Dir(program), "pause"))
	return oci.Image{Name: "localhost/pause:1", Root: root, Config: oci.Config{
		User: "65535:65535", Entrypoint: []string{"/pause"},
	}}, err
}

// redisImage behaves like the official image "redis".
func redisImage() (oci.Image, error) {
	root := newBase(user{"redis", 999, "/data"})
	if err := addShell(root); err != nil {
		return oci.Image{}, err
	}
	for _, name := range []string{"redis-server", "redis-cli", "redis-benchmark"} {
		source, err := find("redis-server", "/usr/bin/"+name)
		if err != nil {
			return oci.Image{}, err
		}
		if err := addProgram(root, "/usr/bin/"+name, source); err != nil {
			return oci.Image{}, err
		}
	}
	root.Symlink("/usr/bin/redis-sentinel", "redis-server")
	root.Bytes("/usr/local/bin/redis-server", 0o755, redisServer)
	root.Symlink("/usr/local/bin/redis-cli", "/usr/bin/redis-cli")
	root.Bytes("/usr/local/bin/docker-entrypoint.sh", 0o755, redisEntrypoint)
	root.OwnedDir("/data", 0o755, 999, 999)
	return oci.Image{Name: "localhost/redis:7", Root: root, Config: oci.Config{
		Env:          []string{searchPath},
		Entrypoint:   []string{"docker-entrypoint.sh"},
		Cmd:          []string{"redis-server"},
		WorkingDir:   "/data",
		ExposedPorts: set{"6379/tcp": {}},
		Volumes:      set{"/data": {}},
	}}, addResolver(root)
}

// etcdImage behaves like the official image of etcd: no shell, and a command
// rather than an entry point, so that a manifest has to name the program.
func etcdImage() (oci.Image, error) {
	root := newBase()
	for name, pkg := range map[string]string{"etcd": "etcd-server", "etcdctl": "etcd-client"} {
		source, err := find(pkg, "/usr/bin/"+name)
		if err != nil {
			return oci.Image{}, err
		}
		if err := addProgram(root, "/usr/local/bin/"+name, source); err != nil {
			return oci.Image{}, err
		}
	}
	root.Dir("/var/etcd", 0o755)
	root.Dir("/var/lib/etcd", 0o755)
	return oci.Image{Name: "localhost/etcd:3", Root: root, Config: oci.Config{
		Env:          []string{searchPath},
		Cmd:          []string{"/usr/local/bin/etcd"},
		WorkingDir:   "/var/etcd",
		ExposedPorts: set{"2379/tcp": {}, "2380/tcp": {}},
	}}, addResolver(root)
}

const (
	postgresFiles = "/usr/lib/postgresql/15"
	postgresShare = "/usr/share/postgresql/15"
	postgresID    = 999
)

var listenSetting = regexp.MustCompile(`(?m)^#?listen_addresses = \S+`)

// postgresImage behaves like the official image "postgres".
func postgresImage() (oci.Image, error) {
	root := newBase(user{"postgres", postgresID, "/var/lib/postgresql"})
	for _, add := range []func(*oci.Tree) error{addShell, addBash, addResolver, addPostgres, addLocales, addUserNames} {
		if err := add(root); err != nil {
			return oci.Image{}, err
		}
	}
	root.Bytes("/usr/local/bin/docker-entrypoint.sh", 0o755, postgresEntrypoint)
	root.Dir("/docker-entrypoint-initdb.d", 0o755)
	root.OwnedDir("/run/postgresql", 0o3777, postgresID, postgresID)
	root.OwnedDir("/var/lib/postgresql", 0o755, postgresID, postgresID)
	root.OwnedDir("/var/lib/postgresql/data", 0o1777, postgresID, postgresID)
	return oci.Image{Name: "localhost/postgres:15", Root: root, Config: oci.Config{
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + postgresFiles + "/bin",
			"LANG=en_US.utf8", "PG_MAJOR=15", "PGDATA=/var/lib/postgresql/data",
		},
		Entrypoint:   []string{"docker-entrypoint.sh"},
		Cmd:          []string{"postgres"},
		StopSignal:   "SIGINT",
		ExposedPorts: set{"5432/tcp": {}},
		Volumes:      set{"/var/lib/postgresql/data": {}},
	}}, nil
}

func addBash(root *oci.Tree) error {
	source, err := find("bash", "/usr/bin/bash", "/bin/bash")
	if err != nil {
		return err
	}
	return addProgram(root, "/usr/bin/bash", source)
}

// addPostgres adds the server, its clients, its extensions and their
// libraries, without the compiler for queries, which would triple the image.
func addPostgres(root *oci.Tree) error {
	if _, err := find("postgresql-15", postgresFiles+"/bin/postgres"); err != nil {
		return err
	}
	compiler := func(rel string) bool {
		return strings.HasPrefix(rel, "lib/bitcode") || strings.HasPrefix(rel, "lib/llvmjit")
	}
	if err := root.HostFolder(postgresFiles, postgresFiles, compiler); err != nil {
		return err
	}
	manual := func(rel string) bool { return rel == "man" }
	if err := root.HostFolder(postgresShare, postgresShare, manual); err != nil {
		return err
	}
	for _, pattern := range []string{"bin/*", "lib/*.so"} {
		files, err := filepath.Glob(filepath.Join(postgresFiles, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if rel := strings.TrimPrefix(file, postgresFiles+"/"); compiler(rel) || isScript(file) {
				continue
			}
			if err := addLibraries(root, file); err != nil {
				return err
			}
		}
	}
	// Like the official image, listen on every address.
	sample := postgresShare + "/postgresql.conf.sample"
	text, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	if !listenSetting.Match(text) {
		return fmt.Errorf("%s does not set listen_addresses", sample)
	}
	root.Bytes(sample, 0o644, listenSetting.ReplaceAll(text, []byte("listen_addresses = '*'")))
	return nil
}

func isScript(file string) bool {
	data := make([]byte, 2)
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	n, _ := f.Read(data)
	return n == 2 && string(data) == "#!"
}

// addLocales adds time zones and the locale that every Debian has, also under
// the name of the one that the official image uses.
func addLocales(root *oci.Tree) error {
	const zones, locales = "/usr/share/zoneinfo", "/usr/lib/locale"
	source, err := find("tzdata", zones)
	if err != nil {
		return err
	}
	if err := root.HostFolder(zones, source, func(rel string) bool { return rel == "right" || rel == "posix" }); err != nil {
		return err
	}
	if source, err = find("libc-bin", locales+"/C.utf8"); err != nil {
		return err
	}
	root.Symlink(locales+"/en_US.utf8", "C.utf8")
	return root.HostFolder(locales+"/C.utf8", source, nil)
}

// addUserNames adds the library with which a process can have a user id that
// /etc/passwd does not list.
func addUserNames(root *oci.Tree) error {
	const name = "libnss_wrapper.so"
	file, ok := findLibrary(name)
	if !ok {
		return fmt.Errorf("%s is missing; run: apt-get install -y libnss-wrapper", name)
	}
	if err := root.HostFile(file, file); err != nil {
		return err
	}
	return addLibraries(root, file)
}
