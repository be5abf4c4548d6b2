package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	// provisioner names this program in storage classes and volumes.
	provisioner = "telectl.test/volumes"
	// limitedClass is the storage class whose volumes can be full.
	limitedClass = "limited"
	// selectedNode is set by the scheduler on a claim whose pod has a node.
	selectedNode = "volume.kubernetes.io/selected-node"
	// provisionedBy is set on every volume, for us to know ours.
	provisionedBy = "pv.kubernetes.io/provisioned-by"
)

// syncVolumes makes a volume for each claim that waits for one and deletes
// those that were released.
func (a *addons) syncVolumes(ctx context.Context) error {
	claims, err := a.claims.List(labels.Everything())
	if err != nil {
		return err
	}
	volumes, err := a.volumes.List(labels.Everything())
	if err != nil {
		return err
	}
	var errs []error
	for _, claim := range claims {
		if class := a.classToServe(claim); class != nil {
			if err := a.provision(ctx, claim, class); err != nil {
				errs = append(errs, fmt.Errorf("volume for claim %s/%s: %w", claim.Namespace, claim.Name, err))
			}
		}
	}
	for _, volume := range volumes {
		if volume.Annotations[provisionedBy] == provisioner && volume.Status.Phase == core.VolumeReleased &&
			volume.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete {
			if err := a.reclaim(ctx, volume); err != nil {
				errs = append(errs, fmt.Errorf("delete volume %s: %w", volume.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// classToServe returns the class of a claim that waits for us, or nil.
func (a *addons) classToServe(claim *core.PersistentVolumeClaim) *storage.StorageClass {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := a.classes.Get(*claim.Spec.StorageClassName)
	if err != nil || class.Provisioner != provisioner {
		return nil
	}
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storage.VolumeBindingWaitForFirstConsumer
	if waits && claim.Annotations[selectedNode] == "" {
		return nil
	}
	return class
}

// provision makes a folder and the volume that stands for it. The volume is
// of the kind "local", not "hostPath": the kubelet gives it to a pod's
// fsGroup as it does with a real disk, so that a manifest that forgets the
// group fails here too.
func (a *addons) provision(ctx context.Context, claim *core.PersistentVolumeClaim, class *storage.StorageClass) error {
	name := "pvc-" + string(claim.UID)
	size := claim.Spec.Resources.Requests[core.ResourceStorage]
	dir, err := a.makeFolder(name, class.Name == limitedClass, size.Value())
	if err != nil {
		return err
	}
	policy := core.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	_, err = a.client.CoreV1().PersistentVolumes().Create(ctx, &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisioner}},
		Spec: core.PersistentVolumeSpec{
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: policy,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			Capacity:                      core.ResourceList{core.ResourceStorage: size},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: dir}},
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{a.cluster.Name},
				}}}},
			}},
		},
	}, meta.CreateOptions{})
	return created(err)
}

// makeFolder makes the folder of a volume. A limited one is a file system of
// its own in memory, so that it can be full without the machine's disk being.
func (a *addons) makeFolder(name string, limited bool, size int64) (string, error) {
	dir := a.cluster.Path("volumes", name)
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return dir, nil
	}
	if err == nil && limited {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", size))
	}
	if err != nil {
		return "", fmt.Errorf("make the folder %s: %w", dir, err)
	}
	return dir, nil
}

// reclaim deletes a volume and what it holds.
func (a *addons) reclaim(ctx context.Context, volume *core.PersistentVolume) error {
	dir := a.cluster.Path("volumes", volume.Name)
	if err := unix.Unmount(dir, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return err // EINVAL: it is no mount
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	err := a.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
