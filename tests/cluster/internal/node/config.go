package node

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/pki"
	"telectl.test/cluster/internal/spec"
)

// PauseImage is what every pod's sandbox runs.
const PauseImage = "localhost/pause:1"

// object is a piece of configuration, written as JSON, which YAML contains.
type object = map[string]any

// writeFiles writes the certificates and the configuration of every
// component.
func writeFiles(c spec.Cluster) error {
	for _, dir := range []string{"log", "tmp", "volumes", "podlogs"} {
		if err := os.MkdirAll(c.Path(dir), 0o755); err != nil {
			return fmt.Errorf("make the folders of cluster %s: %w", c.Name, err)
		}
	}
	if err := writeCertificates(c); err != nil {
		return err
	}
	plugins, err := host.NetworkPlugins()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Path("cni"), 0o755); err != nil {
		return err
	}
	for file, content := range map[string]object{
		"kubelet.yaml":         kubeletConfig(c),
		"proxy.yaml":           proxyConfig(c),
		"cni/10-pods.conflist": networkConfig(c),
	} {
		data, err := json.MarshalIndent(content, "", "  ")
		if err == nil {
			err = spec.WriteFile(c.Path(file), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s of cluster %s: %w", file, c.Name, err)
		}
	}
	for file, content := range map[string]string{
		"containerd.toml": containerdConfig(c, plugins),
		"Corefile":        corefile(c),
		// Pods that ask for the node's name server get none: there is none.
		"resolv.conf": "",
	} {
		if err := spec.WriteFile(c.Path(file), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s of cluster %s: %w", file, c.Name, err)
		}
	}
	return nil
}

// writeCertificates makes the authority, a certificate for each component
// and a kubeconfig for each client.
func writeCertificates(c spec.Cluster) error {
	authority, err := pki.NewAuthority(c.Path("pki"))
	if err != nil {
		return err
	}
	if err := authority.TokenKeys("tokens"); err != nil {
		return err
	}
	node := "system:node:" + c.Name
	subjects := map[string]pki.Subject{
		"apiserver": {
			Name:  "kube-apiserver",
			Hosts: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs:   []net.IP{net.IPv4(127, 0, 0, 1), c.NodeIP(), c.APIServiceIP()},
		},
		"kubelet-server": {Name: node, Group: "system:nodes", Hosts: []string{c.Name}, IPs: []net.IP{c.NodeIP()}},
		"kubelet":        {Name: node, Group: "system:nodes"},
		"admin":          {Name: "admin", Group: "system:masters"},
		"dns":            {Name: "coredns", Group: "system:masters"},
		"manager":        {Name: "system:kube-controller-manager"},
		"scheduler":      {Name: "system:kube-scheduler"},
		"proxy":          {Name: "system:kube-proxy"},
	}
	for name, subject := range subjects {
		if err := authority.Issue(name, subject); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	for _, client := range []string{"kubelet", "admin", "dns", "manager", "scheduler", "proxy"} {
		if err := writeKubeconfig(c, client); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	return nil
}

// writeKubeconfig writes a kubeconfig with the certificates inside, so that
// it can be read wherever the state folder cannot.
func writeKubeconfig(c spec.Cluster, client string) error {
	var parts [3][]byte
	for i, file := range []string{"ca.crt", client + ".crt", client + ".key"} {
		data, err := os.ReadFile(c.Path("pki", file))
		if err != nil {
			return err
		}
		parts[i] = data
	}
	named := func(key string, value object) []object { return []object{{"name": c.Name, key: value}} }
	data, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        named("cluster", object{"server": c.APIURL(), "certificate-authority-data": parts[0]}),
		"users":           named("user", object{"client-certificate-data": parts[1], "client-key-data": parts[2]}),
		"contexts":        named("context", object{"cluster": c.Name, "user": c.Name}),
		"current-context": c.Name,
	}, "", "  ")
	if err != nil {
		return err
	}
	return spec.WriteFile(c.Path(client+".kubeconfig"), data, 0o600)
}

func kubeletConfig(c spec.Cluster) object {
	return object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": object{
			"x509":      object{"clientCAFile": c.Path("pki", "ca.crt")},
			"webhook":   object{"enabled": true},
			"anonymous": object{"enabled": false},
		},
		"authorization":            object{"mode": "Webhook"},
		"tlsCertFile":              c.Path("pki", "kubelet-server.crt"),
		"tlsPrivateKeyFile":        c.Path("pki", "kubelet-server.key"),
		"containerRuntimeEndpoint": "unix://" + c.Runtime(),
		"clusterDNS":               []string{c.DNSIP().String()},
		"clusterDomain":            "cluster.local",
		"resolvConf":               c.Path("resolv.conf"),
		"podLogsDir":               c.Path("podlogs"),
		"volumePluginDir":          c.Path("kubelet", "plugins"),
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + c.Cgroup(),
		"cgroupsPerQOS":            true,
		"enforceNodeAllocatable":   []string{"pods"},
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"maxPods":                  200,
		"healthzPort":              0,
		"readOnlyPort":             0,
		// The machine's disk and memory are shared with whatever else runs:
		// a full one must not make this node evict pods in mid-test.
		"imageGCHighThresholdPercent": 100,
		"evictionHard": object{
			"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "memory.available": "0%",
		},
	}
}

func proxyConfig(c spec.Cluster) object {
	return object{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"clientConnection": object{"kubeconfig": c.Path("proxy.kubeconfig")},
		"mode":             "nftables",
		"nftables":         object{"minSyncPeriod": "100ms", "syncPeriod": "30s"},
		"clusterCIDR":      c.PodNet(),
		"hostnameOverride": c.Name,
		// Zero leaves the machine's connection tracking as it is.
		"conntrack":          object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"healthzBindAddress": "127.0.0.1:10256",
		"metricsBindAddress": "127.0.0.1:10249",
	}
}

// networkConfig gives each pod a routed link of its own. A common bridge
// would let replies between pods of one node bypass the address translation
// of services unless the kernel filters bridges, which not every one does.
func networkConfig(c spec.Cluster) object {
	return object{
		"cniVersion": "0.4.0",
		"name":       "pods",
		"plugins": []object{{
			"type": "ptp",
			"ipam": object{
				"type":    "host-local",
				"ranges":  [][]object{{{"subnet": c.PodNet()}}},
				"routes":  []object{{"dst": "0.0.0.0/0"}},
				"dataDir": c.Path("ipam"),
			},
		}},
	}
}

func containerdConfig(c spec.Cluster, plugins string) string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  # A machine that may not lower an OOM score could start no pod otherwise.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, c.Path("containerd", "root"), c.Path("containerd", "state"), c.Runtime(), c.Path("containerd", "opt"), PauseImage, plugins, c.Path("cni"))
}

// corefile answers for the cluster's own names, and at once that any other
// does not exist: there is no name server above this one.
func corefile(c spec.Cluster) string {
	return fmt.Sprintf(`cluster.local:53 in-addr.arpa:53 {
    bind %[1]s
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig %[2]s
        pods insecure
        ttl 5
    }
}
.:53 {
    bind %[1]s
    errors
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
`, c.NodeIP(), c.Path("dns.kubeconfig"))
}

// firewall hides the pods' addresses, which mean nothing outside, behind the
// node's.
func firewall(c spec.Cluster) string {
	return fmt.Sprintf(`table ip telectl_test {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %[1]s ip daddr != %[1]s masquerade
	}
}
`, c.PodNet())
}
