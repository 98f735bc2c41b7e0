// Command kubetest holds what `npm run test:k8s` needs of Kubernetes in one program: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler and kubectl (with kustomize), chosen by the first argument. One
// program, because they share most of their code: five would take five times the space and the linking.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// What a shell answers to a command that it cannot run as it was written.
const exitUsage = 2

// Constructors, not commands: making one registers its flags and feature gates for the whole process.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
}

// Set by a parent that holds the other end of our standard input: when it dies, however, we end as well.
const parentVariable = "KUBETEST_PARENT_HOLDS_STDIN"

func main() {
	if len(os.Args) < 2 {
		usage("no component named")
	}
	if os.Getenv(parentVariable) != "" {
		go endWithParent()
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	if name == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	newCommand, known := components[name]
	if !known {
		usage(fmt.Sprintf("no component %q", name))
	}
	os.Exit(cli.Run(newCommand()))
}

func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func usage(problem string) {
	names := []string{"etcd"}
	for name := range components {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "kubetest: %s; usage: kubetest %s [flags]\n", problem, strings.Join(names, "|"))
	os.Exit(exitUsage)
}
