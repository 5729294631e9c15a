// One binary with all of a Kubernetes cluster's programs in it: they share most of their code, so
// that building them together takes a fraction of the time and of the space.
//
// It does what its name says, as busybox does: called through a link named kubelet, it is a
// kubelet; called by another name, its first argument tells (`kubernetes kubelet --help`).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Programs that use a command of Kubernetes' own shape.
var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
}

func main() {
	if _, known := find(filepath.Base(os.Args[0])); !known && len(os.Args) > 1 {
		os.Args = os.Args[1:]
	}
	name := filepath.Base(os.Args[0])
	run, known := find(name)
	if !known {
		fmt.Fprintf(os.Stderr, "%s is none of: %s\n", name, strings.Join(names(), " "))
		os.Exit(2)
	}
	os.Exit(run())
}

func find(name string) (func() int, bool) {
	switch name {
	case "etcd":
		return func() int { etcdmain.Main(os.Args); return 0 }, true
	case "kubelet": // it ends by its context, not by signals
		return func() int {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return cli.Run(kubelet.NewKubeletCommand(ctx))
		}, true
	}
	command, known := programs[name]
	return func() int { return cli.Run(command()) }, known
}

func names() []string {
	all := []string{"etcd", "kubelet"}
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
