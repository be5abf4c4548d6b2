package node

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"telectl.test/cluster/internal/spec"
)

// pretenders is how many pods are looked after at the same time.
const pretenders = 4

// pretence says, in a cluster without a node, what a scheduler and a kubelet
// would say of pods that start at once and are well: that those of Jobs have
// succeeded, and that all others are ready. Everything else about them is the
// work of the real controllers. A pod gets no node, so that deleting it ends
// it at once: nobody has to confirm that its processes are gone.
type pretence struct {
	client    kubernetes.Interface
	cluster   spec.Cluster
	pods      corelisters.PodLister
	addresses atomic.Uint32
}

// pretendNode makes a node that nothing stands behind, for whoever asks what
// there is room for.
func pretendNode(ctx context.Context, client kubernetes.Interface, c spec.Cluster) error {
	node := &core.Node{ObjectMeta: meta.ObjectMeta{Name: c.Name, Labels: map[string]string{
		core.LabelHostname: c.Name, core.LabelOSStable: "linux", core.LabelArchStable: "amd64",
		core.LabelTopologyRegion: "test", core.LabelTopologyZone: c.Name,
	}}}
	api := client.CoreV1().Nodes()
	if _, err := api.Create(ctx, node, meta.CreateOptions{}); created(err) != nil {
		return fmt.Errorf("create the node: %w", err)
	}
	size := core.ResourceList{
		core.ResourceCPU:    resource.MustParse(nodeCPUs),
		core.ResourceMemory: resource.MustParse("64Gi"),
		core.ResourcePods:   resource.MustParse("1000"),
	}
	found, err := api.Get(ctx, c.Name, meta.GetOptions{})
	if err == nil {
		// A node is born tainted; the controller that would take the taint
		// away asks for signs of life.
		found.Spec.Taints = nil
		found, err = api.Update(ctx, found, meta.UpdateOptions{})
	}
	if err == nil {
		found.Status.Capacity, found.Status.Allocatable = size, size
		found.Status.Conditions = []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, Reason: "Pretended"}}
		_, err = api.UpdateStatus(ctx, found, meta.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("size the node: %w", err)
	}
	return nil
}

// pretendPods returns when the context ends.
func pretendPods(ctx context.Context, client kubernetes.Interface, c spec.Cluster) {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]())
	add := func(object any) {
		if name, err := cache.ObjectToName(object); err == nil {
			queue.Add(name)
		}
	}
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(_, object any) { add(object) },
	}); err != nil {
		log.Printf("pretend: watch: %v", err)
	}
	p := &pretence{client: client, cluster: c, pods: pods.Lister()}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range pretenders {
		go func() {
			for p.next(ctx, queue) {
			}
		}()
	}
	<-ctx.Done()
	queue.ShutDown()
}

// next looks after one pod; false once there will be no more.
func (p *pretence) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[cache.ObjectName]) bool {
	name, over := queue.Get()
	if over {
		return false
	}
	defer queue.Done(name)
	if err := p.sync(ctx, name); err != nil {
		log.Printf("pretend: pod %s: %v; trying again", name, err)
		queue.AddRateLimited(name)
		return true
	}
	queue.Forget(name)
	return true
}

func (p *pretence) sync(ctx context.Context, name cache.ObjectName) error {
	pod, err := p.pods.Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if pod.DeletionTimestamp != nil || pod.Status.Phase != core.PodPending {
		return nil
	}
	update := pod.DeepCopy()
	p.start(update)
	_, err = p.client.CoreV1().Pods(name.Namespace).UpdateStatus(ctx, update, meta.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // our copy is old: the newer one wakes us
	}
	return err
}

// start writes into a pod's status what it says once it runs, or has run.
func (p *pretence) start(pod *core.Pod) {
	now := meta.Now()
	owner := meta.GetControllerOf(pod)
	status := &pod.Status
	status.Phase, status.StartTime = core.PodRunning, &now
	state := core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}}
	if owner != nil && owner.Kind == "Job" {
		status.Phase = core.PodSucceeded
		state = core.ContainerState{Terminated: &core.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
	}
	runs := status.Phase == core.PodRunning
	ready := core.ConditionFalse
	if runs {
		ready = core.ConditionTrue
	}
	address := p.address()
	status.PodIP, status.PodIPs = address, []core.PodIP{{IP: address}}
	status.Conditions = []core.PodCondition{
		{Type: core.PodScheduled, Status: core.ConditionTrue, LastTransitionTime: now},
		{Type: core.PodInitialized, Status: core.ConditionTrue, LastTransitionTime: now},
		{Type: core.ContainersReady, Status: ready, LastTransitionTime: now},
		{Type: core.PodReady, Status: ready, LastTransitionTime: now},
	}
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, core.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: runs, Started: &runs, State: state,
		})
	}
}

// address gives an address of the pods' network, each in turn: nobody is
// reached under it.
func (p *pretence) address() string {
	return net.IPv4(10, 233, p.cluster.NodeIP()[2], byte(2+p.addresses.Add(1)%250)).String()
}
