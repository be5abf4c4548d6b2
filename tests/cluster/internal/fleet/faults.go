package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/node"
	"telectl.test/cluster/internal/spec"
)

// blockTable is the firewall table that holds the partitions of a cluster.
const blockTable = "telectl_test_partition"

// blockRules makes the table where there is none: nft adds what is missing
// and a chain's rules come again, hence the flush.
const blockRules = `table ip ` + blockTable + ` {
	set cut {
		type ipv4_addr
		flags interval
	}
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
	}
}
flush chain ip ` + blockTable + ` forward
add rule ip ` + blockTable + ` forward ip daddr @cut counter drop
`

// Component starts, stops, freezes or thaws a component of a cluster.
func (f *Fleet) Component(ctx context.Context, name, component, action string) error {
	c, err := f.Get(name)
	if err != nil {
		return err
	}
	if err := node.Dial(c).Act(ctx, component, action); err != nil {
		return err
	}
	if component == "kube-apiserver" && (action == "start" || action == "thaw") {
		return f.waitHealthy(ctx, c)
	}
	return nil
}

// Partition drops what the pods of one cluster send to another. Packets
// vanish, as they do on a broken line: connections time out and are not
// refused.
func (f *Fleet) Partition(from, to string) error {
	source, target, err := f.pair(from, to)
	if err != nil {
		return err
	}
	return host.InNetwork(source.Agent.PID, func() error {
		return host.Firewall(blockRules + fmt.Sprintf("add element ip %s cut { %s }\n", blockTable, target.Reach()))
	})
}

// Heal ends a partition. Ending one that is none is no error.
func (f *Fleet) Heal(from, to string) error {
	source, target, err := f.pair(from, to)
	if err != nil {
		return err
	}
	cut, err := f.blocked(source)
	if err != nil || !slices.Contains(cut, to) {
		return err
	}
	return host.InNetwork(source.Agent.PID, func() error {
		return host.Firewall(fmt.Sprintf("delete element ip %s cut { %s }\n", blockTable, target.Reach()))
	})
}

func (f *Fleet) pair(from, to string) (source, target spec.Cluster, err error) {
	if source, err = f.Get(from); err == nil {
		target, err = f.Get(to)
	}
	if err == nil && from == to {
		err = fmt.Errorf("a cluster cannot be cut off from itself: name two")
	}
	return source, target, err
}

// unblock ends all partitions of a cluster.
func (f *Fleet) unblock(c spec.Cluster) error {
	return host.InNetwork(c.Agent.PID, func() error {
		// Adding before deleting makes the deletion of a missing table fine.
		return host.Firewall("add table ip " + blockTable + "\ndelete table ip " + blockTable + "\n")
	})
}

// blocked lists the clusters that a cluster is cut off from.
func (f *Fleet) blocked(c spec.Cluster) ([]string, error) {
	others, err := f.Clusters()
	if err != nil {
		return nil, err
	}
	var listing []byte
	err = host.InNetwork(c.Agent.PID, func() error {
		// Fails when there is no such table, which means no partition.
		listing, _ = exec.Command("nft", "--json", "list", "set", "ip", blockTable, "cut").Output()
		return nil
	})
	if err != nil || len(listing) == 0 {
		return nil, err
	}
	networks, err := parseSet(listing)
	if err != nil {
		return nil, fmt.Errorf("read the partitions of cluster %s: %w", c.Name, err)
	}
	var cut []string
	for _, other := range others {
		if slices.Contains(networks, other.Reach()) {
			cut = append(cut, other.Name)
		}
	}
	return cut, nil
}

// parseSet returns the networks in nft's description of a set.
func parseSet(listing []byte) ([]string, error) {
	var answer struct {
		Nftables []struct {
			Set struct {
				Elem []struct {
					Prefix struct {
						Addr string `json:"addr"`
						Len  int    `json:"len"`
					} `json:"prefix"`
				} `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(listing, &answer); err != nil {
		return nil, err
	}
	var networks []string
	for _, part := range answer.Nftables {
		for _, element := range part.Set.Elem {
			networks = append(networks, fmt.Sprintf("%s/%d", element.Prefix.Addr, element.Prefix.Len))
		}
	}
	return networks, nil
}

// Exec replaces this program by another one in a cluster's network.
func (f *Fleet) Exec(name string, argv []string) error {
	c, err := f.Get(name)
	if err != nil {
		return err
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("run in the network of cluster %s: %w", name, err)
	}
	if err := host.EnterNetwork(c.Agent.PID); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, argv, os.Environ()))
}
