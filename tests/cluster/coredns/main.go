// Command coredns is CoreDNS with only the plugins that a test cluster's
// Corefile names. The stock build links cloud providers and every other
// plugin, which costs minutes of compilation for nothing that is used here.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	coremain.Run()
}
