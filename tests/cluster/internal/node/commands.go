package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"telectl.test/cluster/internal/spec"
)

// LinkSelf makes a link through which this program starts itself under a
// component's name, for people to see in a list of processes. It leads to the
// running file, also where that was replaced or removed meanwhile.
func LinkSelf(c spec.Cluster, name string) (string, error) {
	link := c.Path("bin", name)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", err
	}
	if err := os.Symlink("/proc/self/exe", link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return link, nil
}

// self stands for this program, which all Kubernetes components are part of.
const self = ""

// commands lists how each component is started.
func commands(c spec.Cluster, coredns string) (map[string]command, error) {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return nil, fmt.Errorf("find etcd: %w", err)
	}
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return nil, fmt.Errorf("find containerd: %w", err)
	}
	all := map[string]command{}
	var errs []error
	add := func(file string, args ...string) {
		name := args[0]
		if file == self {
			var err error
			file, err = LinkSelf(c, name)
			errs = append(errs, err)
		}
		all[name] = command{name: name, program: file, argv: args, log: c.Log(name)}
	}
	// What an etcd keeps here is worth nothing after a crash of the machine.
	add(etcd, "etcd", "--data-dir="+c.Path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380", "--logger=zap", "--log-level=warn")
	add(containerd, "containerd", "--config="+c.Path("containerd.toml"), "--log-level=warn")
	add(self, apiServerArgs(c)...)
	add(self, append([]string{"kube-controller-manager",
		"--kubeconfig=" + c.Path("manager.kubeconfig"),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + c.Path("pki", "tokens.key"),
		"--root-ca-file=" + c.Path("pki", "ca.crt"),
		"--cluster-signing-cert-file=" + c.Path("pki", "ca.crt"),
		"--cluster-signing-key-file=" + c.Path("pki", "ca.key"),
		"--allocate-node-cidrs", "--cluster-cidr=" + c.PodNet(), "--node-cidr-mask-size=24",
		"--flex-volume-plugin-dir=" + c.Path("kubelet", "plugins"),
		"--pvclaimbinder-sync-period=5s"}, controllerPace(c)...)...)
	add(self, "kube-scheduler", "--kubeconfig="+c.Path("scheduler.kubeconfig"), "--leader-elect=false")
	add(self, "kubelet",
		"--config="+c.Path("kubelet.yaml"), "--kubeconfig="+c.Path("kubelet.kubeconfig"),
		"--hostname-override="+c.Name, "--node-ip="+c.NodeIP().String(),
		"--root-dir="+c.Path("kubelet"), "--cert-dir="+c.Path("kubelet", "pki"),
		"--node-labels=topology.kubernetes.io/region=test,topology.kubernetes.io/zone="+c.Name)
	add(self, "kube-proxy", "--config="+c.Path("proxy.yaml"))
	add(coredns, "coredns", "-conf", c.Path("Corefile"))
	return all, errors.Join(errs...)
}

// controllerPace says how fast controllers work. Without a node nothing else
// takes time, and whole deployments are made and removed by the hundred.
func controllerPace(c spec.Cluster) []string {
	if c.Kind == spec.Whole {
		return []string{"--horizontal-pod-autoscaler-sync-period=5s"}
	}
	return []string{
		"--horizontal-pod-autoscaler-sync-period=500ms",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		// Nobody reports the state of the pretended node.
		"--controllers=*,-node-lifecycle-controller",
	}
}

func apiServerArgs(c spec.Cluster) []string {
	key := func(file string) string { return c.Path("pki", file) }
	return []string{
		"kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + c.NodeIP().String(),
		"--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"),
		"--client-ca-file=" + key("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + key("tokens.pub"), "--service-account-signing-key-file=" + key("tokens.key"),
		"--service-cluster-ip-range=" + c.ServiceNet(),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		// The node's name resolves nowhere: reach its kubelet by address.
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + key("ca.crt"),
		"--kubelet-client-certificate=" + key("admin.crt"), "--kubelet-client-key=" + key("admin.key"),
		// For the policy that makes the node look larger: see bootstrap.go.
		"--feature-gates=MutatingAdmissionPolicy=true",
		"--runtime-config=admissionregistration.k8s.io/v1beta1=true",
	}
}
