"""Local mode: WorkerPools on this machine, by the same loop and law as on Kubernetes.

``forq up`` reads the same YAML, and starts worker processes instead of pods. Nothing here imports
kopf or kubernetes, and nothing here decides how many workers there should be.
"""
