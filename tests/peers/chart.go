package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

type object = map[string]any

// chart writes the objects of Lists, as `telectl render` and kubectl print them, as a chart for helm
// and as one file for kubectl: FOLDER/chart and FOLDER/objects.json. It prints how many there are.
//
// They are the very same objects, in other namespaces (FROM=TO), but for two things: workloads have no pods
// (they would be a second and a third pipeline on this machine, and nobody waits for them), and
// telectl's own bookkeeping is not among them.
func chart(folder string, moves []string, lists io.Reader) error {
	namespaces := map[string]string{}
	for _, move := range moves {
		from, to, _ := strings.Cut(move, "=")
		namespaces[from] = to
	}
	objects, err := read(lists)
	if err != nil {
		return err
	}
	templates := filepath.Join(folder, "chart", "templates")
	if err := os.MkdirAll(templates, 0o700); err != nil {
		return err
	}
	const about = "apiVersion: v2\nname: telectl-bench\nversion: 1.0.0\n"
	if err := os.WriteFile(filepath.Join(folder, "chart", "Chart.yaml"), []byte(about), 0o600); err != nil {
		return err
	}
	for _, one := range objects {
		rebase(one, namespaces)
		metadata := one["metadata"].(object)
		text, err := json.MarshalIndent(one, "", "  ")
		if err != nil {
			return err
		}
		file := filepath.Join(templates, fmt.Sprintf("%s.%s.%s.yaml", one["kind"], metadata["namespace"], metadata["name"]))
		if err := os.WriteFile(file, []byte(escaped(string(text))), 0o600); err != nil {
			return err
		}
	}
	list, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "objects.json"), list, 0o600); err != nil {
		return err
	}
	fmt.Println(len(objects))
	return nil
}

func read(lists io.Reader) ([]object, error) {
	var objects []object
	decoder := json.NewDecoder(lists)
	for {
		var list struct{ Items []object }
		err := decoder.Decode(&list)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, list.Items...)
	}
}

// rebase moves an object to its new namespace, without what the server or telectl's bookkeeping
// added.
func rebase(one object, namespaces map[string]string) {
	metadata := one["metadata"].(object)
	kept := object{"name": metadata["name"], "namespace": namespaces[metadata["namespace"].(string)]}
	for _, key := range []string{"labels", "annotations"} {
		if value, has := metadata[key]; has {
			kept[key] = value
		}
	}
	if labels, has := kept["labels"].(object); has {
		delete(labels, "applyset.kubernetes.io/part-of")
		// Helm claims what it makes, and refuses a chart that says otherwise.
		delete(labels, "app.kubernetes.io/managed-by")
	}
	one["metadata"] = kept
	delete(one, "status")
	switch one["kind"] {
	case "Deployment", "StatefulSet":
		one["spec"].(object)["replicas"] = 0
	}
}

// escaped is a text that helm's templates give back as it is.
func escaped(text string) string {
	return strings.ReplaceAll(text, "{{", "{{ `{{` }}")
}
