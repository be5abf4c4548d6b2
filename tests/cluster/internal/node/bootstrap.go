package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	admission "k8s.io/api/admissionregistration/v1"
	admissionbeta "k8s.io/api/admissionregistration/v1beta1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/spec"
)

// nodeCPUs is how many processors a node says it has. Workloads sized for a
// real cluster must fit on a small machine: what they request is not what
// they use.
const nodeCPUs = "32"

// waitAPI waits until the API server says that it is ready.
func waitAPI(ctx context.Context, client kubernetes.Interface) error {
	return host.Until(ctx, "the API server to be ready", func() (bool, error) {
		var status int
		client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status)
		return status == http.StatusOK, nil
	})
}

// created passes over the error that an object is there already.
func created(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// enlargeNode installs an admission policy that rewrites the node's size
// whenever the kubelet reports it. It must come before the kubelet.
func enlargeNode(ctx context.Context, client kubernetes.Interface) error {
	name := "telectl-test-node-size"
	patch := fmt.Sprintf(`[JSONPatch{op: "add", path: "/status/capacity/cpu", value: %[1]q},
		JSONPatch{op: "add", path: "/status/allocatable/cpu", value: %[1]q}]`, nodeCPUs)
	fail := admissionbeta.Fail
	rule := func(resource string, op admission.OperationType) admissionbeta.NamedRuleWithOperations {
		return admissionbeta.NamedRuleWithOperations{RuleWithOperations: admissionbeta.RuleWithOperations{
			Operations: []admission.OperationType{op},
			Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		}}
	}
	api := client.AdmissionregistrationV1beta1()
	_, err := api.MutatingAdmissionPolicies().Create(ctx, &admissionbeta.MutatingAdmissionPolicy{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec: admissionbeta.MutatingAdmissionPolicySpec{
			FailurePolicy:      &fail,
			ReinvocationPolicy: admission.NeverReinvocationPolicy,
			MatchConstraints: &admissionbeta.MatchResources{ResourceRules: []admissionbeta.NamedRuleWithOperations{
				rule("nodes", admission.Create), rule("nodes/status", admission.Update),
			}},
			MatchConditions: []admissionbeta.MatchCondition{
				{Name: "sized", Expression: "has(object.status.capacity) && has(object.status.allocatable)"},
			},
			Mutations: []admissionbeta.Mutation{{
				PatchType: admissionbeta.PatchTypeJSONPatch,
				JSONPatch: &admissionbeta.JSONPatch{Expression: patch},
			}},
		},
	}, meta.CreateOptions{})
	if created(err) != nil {
		return fmt.Errorf("install the policy on the node's size: %w", err)
	}
	_, err = api.MutatingAdmissionPolicyBindings().Create(ctx, &admissionbeta.MutatingAdmissionPolicyBinding{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec:       admissionbeta.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}, meta.CreateOptions{})
	if created(err) != nil {
		return fmt.Errorf("bind the policy on the node's size: %w", err)
	}
	return nil
}

// createDNS makes the service through which pods reach the name server. It
// runs as a process of the node, so the endpoint is written by hand.
func createDNS(ctx context.Context, client kubernetes.Interface, c spec.Cluster) error {
	const namespace, name = "kube-system", "kube-dns"
	ports := []struct {
		name     string
		protocol core.Protocol
	}{{"dns", core.ProtocolUDP}, {"dns-tcp", core.ProtocolTCP}}
	service := &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"k8s-app": name}},
		Spec:       core.ServiceSpec{ClusterIP: c.DNSIP().String()},
	}
	ready := true
	slice := &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{
			discovery.LabelServiceName: name,
			discovery.LabelManagedBy:   "testcluster",
		}},
		AddressType: discovery.AddressTypeIPv4,
		Endpoints: []discovery.Endpoint{{
			Addresses:  []string{c.NodeIP().String()},
			Conditions: discovery.EndpointConditions{Ready: &ready},
		}},
	}
	for _, port := range ports {
		number := int32(53)
		service.Spec.Ports = append(service.Spec.Ports, core.ServicePort{
			Name: port.name, Protocol: port.protocol, Port: number, TargetPort: intstr.FromInt32(number),
		})
		slice.Ports = append(slice.Ports, discovery.EndpointPort{Name: &port.name, Protocol: &port.protocol, Port: &number})
	}
	_, errService := client.CoreV1().Services(namespace).Create(ctx, service, meta.CreateOptions{})
	_, errSlice := client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, meta.CreateOptions{})
	if err := errors.Join(created(errService), created(errSlice)); err != nil {
		return fmt.Errorf("create the name server's service: %w", err)
	}
	return nil
}

// createStorageClasses makes the default class, whose volumes wait for their
// first pod, one whose volumes come at once, and one whose volumes hold no
// more than was asked for.
func createStorageClasses(ctx context.Context, client kubernetes.Interface) error {
	for name, mode := range map[string]storage.VolumeBindingMode{
		"standard":   storage.VolumeBindingWaitForFirstConsumer,
		"immediate":  storage.VolumeBindingImmediate,
		limitedClass: storage.VolumeBindingWaitForFirstConsumer,
	} {
		class := &storage.StorageClass{
			ObjectMeta:        meta.ObjectMeta{Name: name},
			Provisioner:       provisioner,
			VolumeBindingMode: &mode,
		}
		if name == "standard" {
			class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		_, err := client.StorageV1().StorageClasses().Create(ctx, class, meta.CreateOptions{})
		if created(err) != nil {
			return fmt.Errorf("create the storage class %s: %w", name, err)
		}
	}
	return nil
}

// waitUsable waits until a pod could be created, scheduled and look up a
// name: the node is ready, the default service account exists, and a name
// server answers at the service's address.
func waitUsable(ctx context.Context, client kubernetes.Interface, c spec.Cluster) error {
	err := host.Until(ctx, "the node to be ready", func() (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, c.Name, meta.GetOptions{})
		return err == nil && nodeReady(node), nil
	})
	if err != nil {
		return err
	}
	if err := waitControllers(ctx, client); err != nil {
		return err
	}
	return host.Until(ctx, "the name server at "+c.DNSIP().String(), func() (bool, error) {
		return resolves(ctx, c.DNSIP(), "kubernetes.default.svc.cluster.local."), nil
	})
}

// waitControllers waits until the controllers work: they make the default
// service account.
func waitControllers(ctx context.Context, client kubernetes.Interface) error {
	return host.Until(ctx, "the default service account", func() (bool, error) {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		return err == nil, nil
	})
}

func nodeReady(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// resolves asks a name server once.
func resolves(ctx context.Context, server net.IP, name string) bool {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(server.String(), "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, name)
	return err == nil && len(addresses) > 0
}
