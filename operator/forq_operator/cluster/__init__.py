"""Kubernetes as a cluster: the only package that imports kubernetes. Imports nothing by itself.

``adapter`` wires it together: one :class:`KubernetesCluster` to start and to stop. Below it are

    workloads, retiring     what fleet.Cluster asks for, from caches and with few requests
    reporting, secrets      status and events; the URL of a pool's Redis
    leader                  who may write: a Lease
    watching, cache         what there is: list and watch, trimmed, in memory
    podreading, objects, removing    pure: what JSON says, and which pods may go now
    api, errors, connection          requests: plain dicts in and out, and our own errors

It decides nothing: how many workers there should be, and which are to go, comes from the loop.
"""
