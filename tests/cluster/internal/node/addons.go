package node

import (
	"context"
	"errors"
	"log"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"

	"telectl.test/cluster/internal/spec"
)

// addons do what a cloud does for a cluster: they hand out addresses for
// LoadBalancer services and volumes for claims. Both compare what there is
// with what there should be, on every change and for everything at once; a
// test cluster is small enough for that.
type addons struct {
	cluster   spec.Cluster
	client    kubernetes.Interface
	services  corelisters.ServiceLister
	claims    corelisters.PersistentVolumeClaimLister
	volumes   corelisters.PersistentVolumeLister
	classes   storagelisters.StorageClassLister
	addresses map[string]assignment // by the service's UID
}

// retryAfter is how long a failed pass waits for its next try.
const retryAfter = time.Second

// runAddons returns when the context ends.
func runAddons(ctx context.Context, client kubernetes.Interface, c spec.Cluster) {
	factory := informers.NewSharedInformerFactory(client, 0)
	services, claims := factory.Core().V1().Services(), factory.Core().V1().PersistentVolumeClaims()
	volumes, classes := factory.Core().V1().PersistentVolumes(), factory.Storage().V1().StorageClasses()
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default: // a pass is due already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake() },
		UpdateFunc: func(any, any) { wake() },
		DeleteFunc: func(any) { wake() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		services.Informer(), claims.Informer(), volumes.Informer(), classes.Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Printf("addons: watch: %v", err)
		}
	}
	a := &addons{
		cluster: c, client: client, addresses: map[string]assignment{},
		services: services.Lister(), claims: claims.Lister(), volumes: volumes.Lister(), classes: classes.Lister(),
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		if err := errors.Join(a.syncServices(ctx), a.syncVolumes(ctx)); err != nil {
			log.Printf("addons: %v; trying again in %s", err, retryAfter)
			time.AfterFunc(retryAfter, wake)
		}
	}
}
