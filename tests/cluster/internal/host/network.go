package host

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MakeBridge makes the bridge that joins the clusters and gives it an
// address, through which this machine reaches them. Having made it before is
// no error; it reports false when a bridge of that name has another owner.
func MakeBridge(name, owner string, address *net.IPNet) (bool, error) {
	if err := checkFree(name, address); err != nil {
		return false, err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(bridge); err != nil && !errors.Is(err, syscall.EEXIST) {
		return false, fmt.Errorf("make bridge %s: %w", name, err)
	}
	link, owned, err := ownBridge(name, owner)
	if err != nil || !owned {
		return false, err
	}
	if err := netlink.LinkSetAlias(link, owner); err != nil {
		return false, fmt.Errorf("mark bridge %s: %w", name, err)
	}
	if err := AddAddress(name, address); err != nil {
		return false, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return false, fmt.Errorf("set bridge %s up: %w", name, err)
	}
	return true, nil
}

// checkFree refuses a network that another link of this machine is part of.
func checkFree(name string, network *net.IPNet) error {
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list this machine's addresses: %w", err)
	}
	for _, each := range addresses {
		if each.Label != name && (network.Contains(each.IP) || each.Contains(network.IP)) {
			return fmt.Errorf("this machine's %s on %s overlaps the test clusters' network %s; take that link down first",
				each.IPNet, each.Label, network)
		}
	}
	return nil
}

// RemoveBridge removes a bridge, unless it has another owner.
func RemoveBridge(name, owner string) error {
	_, owned, err := ownBridge(name, owner)
	if errors.As(err, &netlink.LinkNotFoundError{}) || (err == nil && !owned) {
		return nil
	}
	if err != nil {
		return err
	}
	return RemoveLink(name)
}

// ownBridge finds a bridge. One without a mark is ours too: it is of a run
// that was killed before it set the mark.
func ownBridge(name, owner string) (netlink.Link, bool, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, false, fmt.Errorf("find bridge %s: %w", name, err)
	}
	alias := link.Attrs().Alias
	return link, alias == "" || alias == owner, nil
}

// RemoveLink removes a network link; one that is not there is no error.
func RemoveLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

// Connect makes a pair of links: one end on the bridge, the other as eth0 in
// the network name space of a process.
func Connect(bridge, outer string, pid int) error {
	link, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", bridge, err)
	}
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: outer, MasterIndex: link.Attrs().Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("connect process %d to bridge %s: %w", pid, bridge, err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return fmt.Errorf("set link %s up: %w", outer, err)
	}
	return nil
}

// SetUpLink gives a link of the current network name space its address, sets
// it and the loopback up, and routes everything else through the gateway.
func SetUpLink(name string, address *net.IPNet, gateway net.IP) error {
	for _, each := range []string{"lo", name} {
		link, err := netlink.LinkByName(each)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("set link %s up: %w", each, err)
		}
	}
	if err := AddAddress(name, address); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway})
	}
	if err != nil {
		return fmt.Errorf("route through %s: %w", gateway, err)
	}
	return nil
}

// AddAddress adds an address to a link; having it already is no error.
func AddAddress(link string, address *net.IPNet) error {
	l, err := netlink.LinkByName(link)
	if err == nil {
		err = netlink.AddrReplace(l, &netlink.Addr{IPNet: address})
	}
	if err != nil {
		return fmt.Errorf("add address %s to %s: %w", address, link, err)
	}
	return nil
}

// RemoveAddress removes an address from a link; not having it is no error.
func RemoveAddress(link string, address *net.IPNet) error {
	l, err := netlink.LinkByName(link)
	if err == nil {
		err = netlink.AddrDel(l, &netlink.Addr{IPNet: address})
	}
	if err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("remove address %s from %s: %w", address, link, err)
	}
	return nil
}

// EnterNetwork moves the calling goroutine, bound to its thread from then on,
// into the network name space of a process. What it starts lives there too.
func EnterNetwork(pid int) error {
	runtime.LockOSThread()
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("open the network of process %d: %w", pid, err)
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network of process %d: %w", pid, err)
	}
	return nil
}

// InNetwork runs f in the network name space of a process.
func InNetwork(pid int, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine and
		// nothing else runs in the foreign network.
		if err := EnterNetwork(pid); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// Firewall hands a script to nft in the current network name space.
func Firewall(script string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
