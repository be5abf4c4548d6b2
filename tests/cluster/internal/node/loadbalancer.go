package node

import (
	"context"
	"errors"
	"fmt"
	"net"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"telectl.test/cluster/internal/host"
)

// assignment is an address in use by a service.
type assignment struct {
	ip      net.IP
	service string
}

// network is the address as the node's link has it: on its own, with no
// network around it.
func (a assignment) network() *net.IPNet {
	return &net.IPNet{IP: a.ip, Mask: net.CIDRMask(32, 32)}
}

// syncServices gives an address to each LoadBalancer service and takes back
// those of the services that are gone. kube-proxy does the rest: the address
// only has to lead to the node.
func (a *addons) syncServices(ctx context.Context) error {
	services, err := a.services.List(labels.Everything())
	if err != nil {
		return err
	}
	wanted := map[string]*core.Service{}
	for _, service := range services {
		// A class means that someone else's load balancer is asked for, for
		// example none, by a test of what happens without.
		if service.Spec.Type == core.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil &&
			service.DeletionTimestamp == nil {
			wanted[string(service.UID)] = service
		}
	}
	var errs []error
	for uid, old := range a.addresses {
		if wanted[uid] == nil {
			if err := host.RemoveAddress("eth0", old.network()); err != nil {
				errs = append(errs, err)
				continue
			}
			delete(a.addresses, uid)
		}
	}
	for uid, service := range wanted {
		if err := a.assign(ctx, uid, service); err != nil {
			errs = append(errs, fmt.Errorf("service %s/%s: %w", service.Namespace, service.Name, err))
		}
	}
	return errors.Join(errs...)
}

// assign gives a service an address and writes it into the service's status.
func (a *addons) assign(ctx context.Context, uid string, service *core.Service) error {
	given, ok := a.addresses[uid]
	if !ok {
		ip, err := a.freeAddress(service)
		if err != nil {
			return err
		}
		given = assignment{ip: ip, service: service.Namespace + "/" + service.Name}
		if err := host.AddAddress("eth0", given.network()); err != nil {
			return err
		}
		a.addresses[uid] = given
	}
	ingress := service.Status.LoadBalancer.Ingress
	if len(ingress) == 1 && ingress[0].IP == given.ip.String() {
		return nil
	}
	update := service.DeepCopy()
	update.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: given.ip.String()}}
	_, err := a.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, update, meta.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // our copy is old: the newer one wakes us
	}
	return err
}

// freeAddress picks the address that the service asks for, or the first that
// no service has.
func (a *addons) freeAddress(service *core.Service) (net.IP, error) {
	taken := map[string]string{}
	for _, each := range a.addresses {
		taken[each.ip.String()] = each.service
	}
	asked := service.Spec.LoadBalancerIP
	if asked != "" && taken[asked] != "" {
		return nil, fmt.Errorf("address %s belongs to service %s", asked, taken[asked])
	}
	for _, ip := range a.cluster.LoadBalancerIPs() {
		if asked == ip.String() || (asked == "" && taken[ip.String()] == "") {
			return ip, nil
		}
	}
	if asked != "" {
		return nil, fmt.Errorf("address %s is none of this cluster's", asked)
	}
	return nil, errors.New("all addresses are in use")
}
