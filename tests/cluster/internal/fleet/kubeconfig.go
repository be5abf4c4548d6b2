package fleet

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"telectl.test/cluster/internal/spec"
)

// writeKubeconfig writes one file with a context for each cluster that runs.
// It has no current context: who forgets to name one gets an error instead
// of the wrong cluster.
func (f *Fleet) writeKubeconfig() error {
	clusters, err := f.Clusters()
	if err != nil {
		return err
	}
	merged := api.NewConfig()
	for _, c := range clusters {
		if !c.Agent.Alive() {
			continue
		}
		own, err := clientcmd.LoadFromFile(c.Path("admin.kubeconfig"))
		if err != nil {
			return fmt.Errorf("read the kubeconfig of cluster %s: %w", c.Name, err)
		}
		merged.Clusters[c.Name] = own.Clusters[c.Name]
		merged.AuthInfos[c.Name] = own.AuthInfos[c.Name]
		merged.Contexts[c.Name] = own.Contexts[c.Name]
	}
	data, err := clientcmd.Write(*merged)
	if err == nil {
		err = spec.WriteFile(f.Kubeconfig(), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}
