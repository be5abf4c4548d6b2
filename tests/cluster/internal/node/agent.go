// Package node runs one test cluster: a control plane and a node, in name
// spaces of their own. The process that calls Run is the first of its
// process name space: when it ends, for whatever reason, the kernel ends
// everything else in there, and with the last process go the mounts, the
// network and all that was in it.
package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/spec"
)

const (
	// bootTimeout bounds the way from nothing to a usable cluster. It takes
	// seconds, and much longer when a build takes the processors meanwhile.
	bootTimeout   = 4 * time.Minute
	lookupTimeout = time.Second
	// requestsPerSecond is no limit in practice; the library's own is 5.
	requestsPerSecond = 500
)

// What is said over the standard input of a cluster's first process.
const (
	// Connected: the network cable is plugged in, start.
	Connected = "connected"
	// Stay: do not end when the input does.
	Stay = "stay"
)

// agent is the first process of a cluster.
type agent struct {
	cluster spec.Cluster
	super   *supervisor

	mu     sync.Mutex
	status Status
}

// Run is the life of a cluster. It ends with an error, or with the process.
func Run(state, name string, input io.Reader) error {
	c, err := spec.Load(state, name)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(input)
	if !lines.Scan() || lines.Text() != Connected {
		return errors.New("the command that started this cluster went away")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := host.IsolateMounts(state, filepath.Dir(program)); err != nil {
		return err
	}
	if err := prepareNetwork(c); err != nil {
		return err
	}
	if err := writeFiles(c); err != nil {
		return err
	}
	a := &agent{cluster: c, super: newSupervisor(), status: Status{Phase: Starting}}
	if err := a.serve(); err != nil {
		return err
	}
	go a.boot(program)
	if !lines.Scan() || lines.Text() != Stay {
		return errors.New("the command that started this cluster went away before it was ready")
	}
	select {} // until someone kills this process
}

// prepareNetwork sets up the cluster's end of the cable. It must come before
// the supervisor, which would take away the exit code of nft.
func prepareNetwork(c spec.Cluster) error {
	if err := host.SetUpLink("eth0", c.NodeNet(), c.Gateway()); err != nil {
		return err
	}
	if err := host.WriteSysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	// The kernel tells one host at most once a second that a connection is
	// refused, and workers that lost their server use that up: now and then
	// a probe would see silence where there was a refusal.
	if err := host.WriteSysctl("net/ipv4/icmp_ratelimit", "0"); err != nil {
		return err
	}
	if err := host.Firewall(firewall(c)); err != nil {
		return fmt.Errorf("hide the pods' addresses: %w", err)
	}
	return nil
}

// boot starts everything, and reports how that went in the status.
func (a *agent) boot(program string) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	timer := time.AfterFunc(bootTimeout, func() { cancel(fmt.Errorf("not done after %s", bootTimeout)) })
	defer timer.Stop()
	go func() { // a component that ends by itself ends the waiting for it
		cancel(host.Until(ctx, "a component to fail", func() (bool, error) { return false, a.super.failed() }))
	}()
	err := a.bring(ctx, program)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		log.Printf("start: %v", err)
		a.status = Status{Phase: Failed, Error: err.Error()}
		return
	}
	a.status = Status{Phase: Ready}
}

// bring starts the components in the order in which they need each other.
func (a *agent) bring(ctx context.Context, program string) error {
	all, err := commands(a.cluster, filepath.Join(filepath.Dir(program), "coredns"))
	if err != nil {
		return err
	}
	start := func(names ...string) error {
		for _, name := range names {
			if err := a.super.start(all[name]); err != nil {
				return err
			}
		}
		return nil
	}
	if a.cluster.Kind == spec.ControlPlane {
		return a.bringControlPlane(ctx, start)
	}
	if err := start("etcd", "containerd", "kube-apiserver"); err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	a.waitFor("the API server")
	if err := waitAPI(ctx, client); err != nil {
		return err
	}
	if err := start("kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"); err != nil {
		return err
	}
	if err := enlargeNode(ctx, client); err != nil {
		return err
	}
	a.waitFor("containerd")
	err = host.Until(ctx, "containerd's socket", func() (bool, error) {
		_, err := os.Stat(a.cluster.Runtime())
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	if err := start("kubelet"); err != nil {
		return err
	}
	if err := errors.Join(createDNS(ctx, client, a.cluster), createStorageClasses(ctx, client)); err != nil {
		return err
	}
	go runAddons(context.Background(), client, a.cluster)
	a.waitFor("the node")
	return waitUsable(ctx, client, a.cluster)
}

// bringControlPlane starts what a cluster without a node has.
func (a *agent) bringControlPlane(ctx context.Context, start func(...string) error) error {
	if err := start("etcd", "kube-apiserver"); err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	a.waitFor("the API server")
	if err := waitAPI(ctx, client); err != nil {
		return err
	}
	if err := start("kube-controller-manager"); err != nil {
		return err
	}
	if err := errors.Join(createStorageClasses(ctx, client), pretendNode(ctx, client, a.cluster)); err != nil {
		return err
	}
	go runAddons(context.Background(), client, a.cluster)
	go pretendPods(context.Background(), client, a.cluster)
	a.waitFor("the controllers")
	return waitControllers(ctx, client)
}

// connect returns a client of the cluster's own API server.
func (a *agent) connect() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", a.cluster.Path("admin.kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of cluster %s: %w", a.cluster.Name, err)
	}
	// Whoever plays a part of the cluster must not be what a test waits for.
	config.QPS, config.Burst = requestsPerSecond, 2*requestsPerSecond
	return kubernetes.NewForConfig(config)
}

func (a *agent) waitFor(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Waiting = what
}
