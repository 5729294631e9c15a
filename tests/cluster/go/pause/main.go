// What Kubernetes calls the pause container, and the first process of a test cluster's node: it
// holds namespaces open, and buries the processes that are left to it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			os.Exit(0)
		}
		for buried := 1; buried > 0; {
			buried, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}
