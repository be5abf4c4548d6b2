// Package spec says where everything of a test cluster lies: its files, its
// addresses and the names of what it makes on the machine. All of it follows
// from a name and two small numbers, so that whatever a killed run left
// behind can be found again.
package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"

	"telectl.test/cluster/internal/host"
)

const (
	// MaxInstances is how many state folders can have clusters at a time.
	MaxInstances = 8
	// MaxClusters is how many clusters one state folder can hold.
	MaxClusters = 31
	// RecordName is the file in a cluster's folder that says it is one.
	RecordName = "cluster.json"
	// loadBalancerFirst and loadBalancerLast bound the last byte of the
	// addresses that a cluster hands to its LoadBalancer services.
	loadBalancerFirst, loadBalancerLast = 100, 250
)

// wellKnown clusters always get the same index and so the same addresses.
var wellKnown = map[string]int{"edge": 1, "central": 2, "shared": 3, "edge-2": 4}

var namePattern = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$`)

// CheckName refuses what could not be a node's name and a context's.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q cannot name a cluster; use lower-case letters, digits and dashes, a letter first", name)
	}
	return nil
}

// Kind says how much of a cluster there is.
type Kind string

const (
	// Whole is a control plane and a node that runs pods.
	Whole Kind = "whole"
	// ControlPlane has no node: pods are said to run and do not.
	ControlPlane Kind = "control-plane-only"
)

// Cluster is one test cluster as recorded in its folder.
type Cluster struct {
	Name     string       `json:"name"`
	Kind     Kind         `json:"kind"`
	Instance int          `json:"instance"`
	Index    int          `json:"index"`
	Agent    host.Process `json:"agent"`
	state    string
}

// New describes a cluster that does not exist yet, with an index that none of
// the others has.
func New(state string, instance int, kind Kind, name string, others []Cluster) (Cluster, error) {
	taken := map[int]bool{}
	for _, other := range others {
		taken[other.Index] = true
	}
	c := Cluster{Name: name, Kind: kind, Instance: instance, Index: wellKnown[name], state: state}
	for i := len(wellKnown) + 1; c.Index == 0 && i <= MaxClusters; i++ {
		if !taken[i] {
			c.Index = i
		}
	}
	if c.Index == 0 {
		return c, fmt.Errorf("cluster %s: all %d places are taken; stop some: testcluster down NAME", name, MaxClusters)
	}
	return c, nil
}

// Load reads the record of a cluster. The error is fs.ErrNotExist when there
// is none.
func Load(state, name string) (Cluster, error) {
	// A record of before there were kinds names none.
	c := Cluster{state: state, Name: name, Kind: Whole}
	data, err := os.ReadFile(c.record())
	if err != nil {
		return c, fmt.Errorf("read the record of cluster %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read the record of cluster %s: %w", name, err)
	}
	return c, nil
}

// List reads the records of all clusters of a state folder.
func List(state string) ([]Cluster, error) {
	files, err := filepath.Glob(filepath.Join(state, "*", RecordName))
	if err != nil {
		return nil, err
	}
	var clusters []Cluster
	for _, file := range files {
		c, err := Load(state, filepath.Base(filepath.Dir(file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, c)
	}
	return clusters, nil
}

// Save writes the record, whole or not at all.
func (c Cluster) Save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = WriteFile(c.record(), append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("record cluster %s: %w", c.Name, err)
	}
	return nil
}

// WriteFile writes a file beside its place and renames it, making its folder
// when there is none, so that a reader finds all of it or nothing.
func WriteFile(file string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	part := file + ".part"
	if err := os.WriteFile(part, data, mode); err != nil {
		return err
	}
	return os.Rename(part, file)
}

func (c Cluster) record() string { return c.Path(RecordName) }

// Dir is the folder that holds everything of the cluster.
func (c Cluster) Dir() string { return filepath.Join(c.state, c.Name) }

// State is the folder that holds all clusters.
func (c Cluster) State() string { return c.state }

// Path is a path below the cluster's folder.
func (c Cluster) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir()}, parts...)...)
}

// Log is the file that a component writes to.
func (c Cluster) Log(component string) string { return c.Path("log", component+".log") }

// Runtime is the socket of the cluster's containerd.
func (c Cluster) Runtime() string { return c.Path("containerd.sock") }

// slot numbers the clusters of all state folders.
func (c Cluster) slot() byte { return byte(c.Instance*(MaxClusters+1) + c.Index) }

// NodeIP is the address of the cluster's only node.
func (c Cluster) NodeIP() net.IP { return net.IPv4(10, 231, c.slot(), 1).To4() }

// NodeNet is the node's address with the length of the bridge's network.
func (c Cluster) NodeNet() *net.IPNet {
	return &net.IPNet{IP: c.NodeIP(), Mask: net.CIDRMask(19, 32)}
}

// LoadBalancerIPs lists the addresses for services of type LoadBalancer.
func (c Cluster) LoadBalancerIPs() []net.IP {
	var ips []net.IP
	for last := loadBalancerFirst; last <= loadBalancerLast; last++ {
		ips = append(ips, net.IPv4(10, 231, c.slot(), byte(last)).To4())
	}
	return ips
}

// Reach is the network that holds the node's address and all LoadBalancer
// addresses: what other clusters see of this one.
func (c Cluster) Reach() string { return fmt.Sprintf("10.231.%d.0/24", c.slot()) }

// ServiceNet is the network of the services' addresses.
func (c Cluster) ServiceNet() string { return fmt.Sprintf("10.232.%d.0/24", c.slot()) }

// APIServiceIP is the address of the service "kubernetes".
func (c Cluster) APIServiceIP() net.IP { return net.IPv4(10, 232, c.slot(), 1).To4() }

// DNSIP is the address of the cluster's name server.
func (c Cluster) DNSIP() net.IP { return net.IPv4(10, 232, c.slot(), 10).To4() }

// PodNet is the network of the pods' addresses.
func (c Cluster) PodNet() string { return fmt.Sprintf("10.233.%d.0/24", c.slot()) }

// APIURL is where the API server answers, inside and outside.
func (c Cluster) APIURL() string { return fmt.Sprintf("https://%s:6443", c.NodeIP()) }

// Link is the machine's end of the cluster's network cable.
func (c Cluster) Link() string { return fmt.Sprintf("tc%d-%d", c.Instance, c.Index) }

// Cgroup is the group that holds the cluster's pods.
func (c Cluster) Cgroup() string { return fmt.Sprintf("telectl-test-%d-%s", c.Instance, c.Name) }

// Bridge joins the clusters of an instance.
func Bridge(instance int) string { return fmt.Sprintf("tcbr%d", instance) }

// BridgeNet is the bridge's address. Clusters of one instance share a bridge,
// and the networks of all instances are parts of one: an instance's share
// starts at its first slot.
func BridgeNet(instance int) *net.IPNet {
	return &net.IPNet{IP: gateway(instance), Mask: net.CIDRMask(19, 32)}
}

// Gateway is the machine's own address on the cluster's bridge.
func (c Cluster) Gateway() net.IP { return gateway(c.Instance) }

func gateway(instance int) net.IP {
	return net.IPv4(10, 231, byte(instance*(MaxClusters+1)), 1).To4()
}
