// Peers has what `make bench` needs to compare telectl with helm and kubectl: a longer way to the
// API servers, the same objects for all, and edges in any number.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: peers relay ROUND-TRIP NAME=ADDRESS…
       peers chart FOLDER FROM=TO… <LISTS
       peers replay UPSTREAM ROUND-TRIP COUNT KUBECONFIG`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("%s", usage)
	}
	switch command, rest := arguments[0], arguments[1:]; {
	case command == "relay" && len(rest) > 1:
		return relay(rest[0], rest[1:])
	case command == "chart" && len(rest) > 1:
		return chart(rest[0], rest[1:], os.Stdin)
	case command == "replay" && len(rest) == 4:
		return replay(rest[0], rest[1], rest[2], rest[3])
	}
	return fmt.Errorf("%s", usage)
}
