// Command testcluster runs real Kubernetes clusters on one machine, without
// virtual machines and without Docker: each is a control plane and a node in
// name spaces of its own, and all are joined by a bridge.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"telectl.test/cluster/internal/fleet"
	"telectl.test/cluster/internal/node"
)

func main() {
	// The first name that is a component's is the one that called us, or the
	// first argument: a supervisor sets the former, a person the latter.
	if create, ok := components[filepath.Base(os.Args[0])]; ok {
		runComponent(create)
	}
	if filepath.Base(os.Args[0]) == "kubectl" {
		kubectlMain()
	}
	if len(os.Args) > 1 {
		switch create, ok := components[os.Args[1]]; {
		case ok:
			os.Args = os.Args[1:]
			runComponent(create)
		case os.Args[1] == "kubectl":
			os.Args = os.Args[1:]
			kubectlMain()
		case os.Args[1] == "agent" && len(os.Args) == 4:
			fail(node.Run(os.Args[2], os.Args[3], os.Stdin))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fail(err)
	}
}

// kubectlMain runs kubectl and does not return.
func kubectlMain() {
	f, err := fleet.Open(os.Stderr)
	if err != nil {
		fail(err)
	}
	runKubectl(f.Kubeconfig())
	os.Exit(0)
}

// fail prints an error, each part of a joined one on a line, and ends.
func fail(err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintln(os.Stderr, "testcluster:", line)
	}
	os.Exit(1)
}
