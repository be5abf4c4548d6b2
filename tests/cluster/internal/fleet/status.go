package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"telectl.test/cluster/internal/host"
	"telectl.test/cluster/internal/node"
	"telectl.test/cluster/internal/spec"
)

const (
	// probeTimeout bounds a question to an API server that may be down.
	probeTimeout = 3 * time.Second
	// healTimeout bounds the wait for a mended cluster.
	healTimeout = 90 * time.Second
)

// ClusterStatus is a cluster as seen from outside.
type ClusterStatus struct {
	Name       string            `json:"name"`
	Context    string            `json:"context"`
	APIURL     string            `json:"apiURL"`
	Network    string            `json:"network"`
	Phase      string            `json:"phase"`
	NodeReady  bool              `json:"nodeReady"`
	Components []ComponentStatus `json:"components"`
	Partitions []string          `json:"partitions"`
	Error      string            `json:"error,omitempty"`
}

// ComponentStatus is a process of a cluster; HostPID is its id out here.
type ComponentStatus struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	HostPID int    `json:"hostPID,omitempty"`
	Exit    string `json:"exit,omitempty"`
}

// Status asks every cluster how it is.
func (f *Fleet) Status(ctx context.Context) ([]ClusterStatus, error) {
	clusters, err := f.Clusters()
	if err != nil {
		return nil, err
	}
	all := []ClusterStatus{}
	for _, c := range clusters {
		all = append(all, f.inspect(ctx, c))
	}
	return all, nil
}

// inspect never fails: what it could not find out is part of the answer.
func (f *Fleet) inspect(ctx context.Context, c spec.Cluster) ClusterStatus {
	s := ClusterStatus{
		Name: c.Name, Context: c.Name, APIURL: c.APIURL(), Network: c.Reach(), Phase: "gone",
		Components: []ComponentStatus{}, Partitions: []string{},
	}
	if !c.Agent.Alive() {
		s.Error = "it does not run any more; clear it: testcluster down " + c.Name
		return s
	}
	status, errStatus := node.Dial(c).Status(ctx)
	outside, errPIDs := c.Agent.Inside()
	ready, errNode := nodeReady(ctx, c)
	partitions, errBlocked := f.blocked(c)
	if err := errors.Join(errStatus, errPIDs, errNode, errBlocked); err != nil {
		s.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	s.NodeReady = ready
	s.Partitions = append(s.Partitions, partitions...)
	if errStatus == nil {
		s.Phase = status.Phase
	}
	for _, component := range status.Components {
		view := ComponentStatus{Name: component.Name, State: component.State, Exit: component.Exit}
		if component.State == node.Running || component.State == node.Frozen {
			view.HostPID = outside[component.PID]
		}
		s.Components = append(s.Components, view)
	}
	return s
}

// waitHealthy waits until a cluster is ready and its node too.
func (f *Fleet) waitHealthy(ctx context.Context, c spec.Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healTimeout, fmt.Errorf("not done after %s", healTimeout))
	defer cancel()
	if err := waitReady(ctx, c); err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	return host.Until(ctx, "the node of cluster "+c.Name, func() (bool, error) {
		ready, _ := nodeReady(ctx, c)
		return ready, nil
	})
}

// Connect returns a client of a cluster's API server.
func Connect(c spec.Cluster) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Path("admin.kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of cluster %s: %w", c.Name, err)
	}
	config.Timeout = probeTimeout
	return kubernetes.NewForConfig(config)
}

func nodeReady(ctx context.Context, c spec.Cluster) (bool, error) {
	client, err := Connect(c)
	if err != nil {
		return false, err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, c.Name, meta.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("ask for the node: %w", err)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue, nil
		}
	}
	return false, nil
}

// PrintJSON writes the status for a program.
func PrintJSON(w io.Writer, all []ClusterStatus) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}

// PrintTable writes the status for a person.
func PrintTable(w io.Writer, all []ClusterStatus) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no cluster runs; start some: testcluster up edge central")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tCONTEXT\tAPI\tPHASE\tNODE\tPROCESSES\tNOTES")
	for _, s := range all {
		running, notes := 0, []string{}
		for _, c := range s.Components {
			if c.State == node.Running {
				running++
			} else {
				notes = append(notes, c.Name+" "+c.State)
			}
		}
		for _, to := range s.Partitions {
			notes = append(notes, "cut off from "+to)
		}
		if s.Error != "" {
			notes = append(notes, s.Error)
		}
		ready := map[bool]string{true: "ready", false: "not ready"}[s.NodeReady]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\n",
			s.Name, s.Context, s.APIURL, s.Phase, ready, running, len(s.Components), join(notes))
	}
	return table.Flush()
}
