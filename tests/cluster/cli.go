package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"telectl.test/cluster/internal/fleet"
	"telectl.test/cluster/internal/spec"
)

const apiServer, nameServer = "kube-apiserver", "coredns"

// rootCommand is the part of the command line that people use.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "testcluster",
		Short:         "Real Kubernetes clusters on one machine, for tests",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		upCommand(), downCommand(), statusCommand(), loadImageCommand(), kubeconfigCommand(),
		execCommand(), partitionCommand(), healCommand(),
		componentCommand("apiserver", "the API server", apiServer),
		componentCommand("dns", "the name server", nameServer),
		anyComponentCommand(),
		&cobra.Command{Use: "kubectl ...", Short: "Run kubectl on the clusters: name one with --context"},
	)
	return root
}

// withFleet makes a command's function out of one that needs the fleet.
func withFleet(run func(cmd *cobra.Command, f *fleet.Fleet, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		f, err := fleet.Open(os.Stderr)
		if err != nil {
			return err
		}
		return run(cmd, f, args)
	}
}

func upCommand() *cobra.Command {
	var controlPlaneOnly bool
	cmd := &cobra.Command{
		Use:   "up NAME...",
		Short: "Start clusters, all at the same time, and wait until they are usable",
		Long: `Start clusters, all at the same time, and wait until they are usable.

A cluster that runs is left as it is; components that a test stopped are
started again and partitions end. What a killed run left is cleared first.`,
		Args: cobra.MinimumNArgs(1),
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			kind := spec.Whole
			if controlPlaneOnly {
				kind = spec.ControlPlane
			}
			return f.Up(cmd.Context(), kind, args)
		}),
	}
	cmd.Flags().BoolVar(&controlPlaneOnly, "control-plane-only", false,
		"API server and controllers without a node: pods are said to be ready, and nothing runs")
	return cmd
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down [NAME...]",
		Short: "Remove clusters and everything they made; without a name, all",
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Down(cmd.Context(), args)
		}),
	}
}

func statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the clusters",
		Args:  cobra.NoArgs,
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error {
			all, err := f.Status(cmd.Context())
			if err != nil {
				return err
			}
			switch output {
			case "json":
				return fleet.PrintJSON(os.Stdout, all)
			case "table":
				return fleet.PrintTable(os.Stdout, all)
			}
			return fmt.Errorf("unknown output %q; use table or json", output)
		}),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func loadImageCommand() *cobra.Command {
	var clusters []string
	cmd := &cobra.Command{
		Use:   "load-image [--cluster NAME]... ARCHIVE...",
		Short: "Import OCI or Docker archives into clusters; without a name, into all",
		Args:  cobra.MinimumNArgs(1),
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.LoadImages(cmd.Context(), clusters, args)
		}),
	}
	cmd.Flags().StringSliceVar(&clusters, "cluster", nil, "cluster to load into, can be repeated")
	return cmd
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the kubeconfig, which has a context named after each cluster",
		Args:  cobra.NoArgs,
		RunE: withFleet(func(_ *cobra.Command, f *fleet.Fleet, _ []string) error {
			_, err := fmt.Println(f.Kubeconfig())
			return err
		}),
	}
}

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "exec NAME -- COMMAND...",
		Short: "Run a command in a cluster's network",
		Args:  cobra.MinimumNArgs(2),
		RunE: withFleet(func(_ *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Exec(args[0], args[1:])
		}),
	}
}

func partitionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "partition FROM TO",
		Short: "Drop what the pods of one cluster send to another: connections time out",
		Args:  cobra.ExactArgs(2),
		RunE: withFleet(func(_ *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Partition(args[0], args[1])
		}),
	}
}

func healCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "heal FROM TO",
		Short: "End a partition",
		Args:  cobra.ExactArgs(2),
		RunE: withFleet(func(_ *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Heal(args[0], args[1])
		}),
	}
}

const actions = "start|stop|freeze|thaw"

// componentCommand acts on one component under a handy name.
func componentCommand(name, what, component string) *cobra.Command {
	return &cobra.Command{
		Use:       name + " " + actions + " NAME",
		Short:     "Kill and start " + what + " of a cluster: stopped it refuses, frozen it lets time out",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"start", "stop", "freeze", "thaw"},
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Component(cmd.Context(), args[1], component, args[0])
		}),
	}
}

func anyComponentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "component " + actions + " NAME COMPONENT",
		Short: "The same for any component that status -o json lists",
		Args:  cobra.ExactArgs(3),
		RunE: withFleet(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			return f.Component(cmd.Context(), args[1], args[2], args[0])
		}),
	}
}
