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
	// A component goes by the name we are called by, as the supervisor calls
	// us, or by the first argument.
	if create, ok := components[filepath.Base(os.Args[0])]; ok {
		runComponent(create)
	}
	if filepath.Base(os.Args[0]) == "kubectl" {
		runKubectl() // under its own name it is plain kubectl
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

// kubectlMain runs kubectl on the test clusters, whatever the environment
// says: a command meant for them must not reach others.
func kubectlMain() {
	f, err := fleet.Open(os.Stderr)
	if err != nil {
		fail(err)
	}
	os.Setenv("KUBECONFIG", f.Kubeconfig())
	runKubectl()
}

// fail prints an error, each part of a joined one on a line, and ends.
func fail(err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintln(os.Stderr, "testcluster:", line)
	}
	os.Exit(1)
}
