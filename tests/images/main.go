// Command packimage packs programs of this machine, with the libraries they
// need, into container images, without Docker and without a registry.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"telectl.test/images/oci"
)

const usage = `usage: packimage telectl --binary FILE --csv FILE --version VERSION --out FILE
       packimage fixtures --out FOLDER [NAME...]

telectl packs the program under test as localhost/telectl:VERSION; fixtures
packs the servers that tests deploy: pause, redis, postgres, etcd.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "telectl":
		err = packTelectl(os.Args[2:])
	case "fixtures":
		err = packFixtures(os.Args[2:])
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packimage:", err)
		os.Exit(1)
	}
}

// packTelectl packs the program under test with the sample file that its
// streamer reads.
func packTelectl(args []string) error {
	flags := flag.NewFlagSet("packimage telectl", flag.ExitOnError)
	binary := flags.String("binary", "", "the telectl program")
	sample := flags.String("csv", "", "the sample DCGM export, kept under its name in /data")
	version := flags.String("version", "", "the image's tag")
	out := flags.String("out", "", "the archive to write")
	_ = flags.Parse(args)
	if *binary == "" || *sample == "" || *version == "" || *out == "" || flags.NArg() > 0 {
		return errors.New("telectl needs --binary, --csv, --version and --out, and nothing else")
	}
	root := newBase()
	if err := addProgram(root, "/usr/local/bin/telectl", *binary); err != nil {
		return err
	}
	if err := root.HostFile("/data/"+filepath.Base(*sample), *sample); err != nil {
		return err
	}
	if err := addResolver(root); err != nil {
		return err
	}
	return write(oci.Image{Name: "localhost/telectl:" + *version, Root: root, Config: oci.Config{
		User:       "65534:65534",
		Env:        []string{searchPath},
		Entrypoint: []string{"/usr/local/bin/telectl"},
		WorkingDir: "/",
		Labels:     map[string]string{"org.opencontainers.image.version": *version},
	}}, *out)
}

// packFixtures packs the named fixtures, or all.
func packFixtures(args []string) error {
	flags := flag.NewFlagSet("packimage fixtures", flag.ExitOnError)
	out := flags.String("out", "", "the folder for the archives")
	_ = flags.Parse(args)
	if *out == "" {
		return errors.New("fixtures needs --out FOLDER")
	}
	names := flags.Args()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(fixtures))
	}
	for _, name := range names {
		make, ok := fixtures[name]
		if !ok {
			return fmt.Errorf("unknown fixture %q; there are %v", name, slices.Sorted(maps.Keys(fixtures)))
		}
		image, err := make()
		if err != nil {
			return fmt.Errorf("fixture %s: %w", name, err)
		}
		if err := write(image, filepath.Join(*out, name+".tar")); err != nil {
			return err
		}
	}
	return nil
}

// write writes an image and says what it is called and where it lies.
func write(image oci.Image, file string) error {
	if err := image.WriteFile(file); err != nil {
		return err
	}
	_, err := fmt.Println(image.Name, file)
	return err
}
