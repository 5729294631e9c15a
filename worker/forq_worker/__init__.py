"""The forq worker: claims jobs, runs each in a forked process, settles them.

It is three kinds of processes (docs/architecture.md): the supervisor speaks to Redis and never
imports a user's code; the zygote imports it once and forks; executors run the jobs. This module
is empty on purpose: the zygote imports it, and every page it holds is paid at each fork.
"""
