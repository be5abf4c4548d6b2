package spec

import (
	"net"
	"testing"
)

// TestNetworksAreDisjoint checks that no two clusters, of whatever state
// folder, share an address.
func TestNetworksAreDisjoint(t *testing.T) {
	seen := map[string]string{}
	for instance := range MaxInstances {
		bridge := BridgeNet(instance)
		gatewayNet := &net.IPNet{IP: bridge.IP.Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)}
		claim(t, seen, gatewayNet.String(), "gateway")
		for index := 1; index <= MaxClusters; index++ {
			c := Cluster{Name: "x", Instance: instance, Index: index}
			for _, network := range []string{c.Reach(), c.ServiceNet(), c.PodNet()} {
				claim(t, seen, network, c.Link())
			}
			for _, ip := range append(c.LoadBalancerIPs(), c.NodeIP()) {
				if !bridge.Contains(ip) {
					t.Fatalf("%s of %s is not on its bridge %s", ip, c.Link(), bridge)
				}
			}
		}
	}
}

func claim(t *testing.T, seen map[string]string, network, owner string) {
	t.Helper()
	if other := seen[network]; other != "" {
		t.Fatalf("%s belongs to %s and %s", network, other, owner)
	}
	seen[network] = owner
}

// TestLinkNamesFit checks the longest link name against the kernel's limit.
func TestLinkNamesFit(t *testing.T) {
	name := Cluster{Instance: MaxInstances - 1, Index: MaxClusters}.Link()
	if len(name) > 15 {
		t.Fatalf("the kernel takes no link name as long as %q", name)
	}
}

func TestNewNumbersClusters(t *testing.T) {
	central, err := New("/state", 0, Whole, "central", nil)
	if err != nil || central.Index != 2 {
		t.Fatalf("central: index %d, %v; want 2", central.Index, err)
	}
	var known []Cluster
	for i := len(wellKnown) + 1; i <= MaxClusters; i++ {
		c, err := New("/state", 0, Whole, "other", known)
		if err != nil || c.Index != i {
			t.Fatalf("cluster %d: index %d, %v", i, c.Index, err)
		}
		known = append(known, c)
	}
	if _, err := New("/state", 0, Whole, "other", known); err == nil {
		t.Fatal("one cluster too many got a number")
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"edge": true, "edge-2": true, "a": true,
		"": false, "Edge": false, "2edge": false, "edge-": false, "a/b": false, "..": false,
	} {
		if (CheckName(name) == nil) != good {
			t.Errorf("CheckName(%q) = %v", name, CheckName(name))
		}
	}
}
