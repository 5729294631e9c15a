"""The operator: watches WorkerPools and scales their workers. Imports nothing by itself.

observe (edges) → decide (pure) → act (edges). The pure modules know neither Redis nor Kubernetes
nor the time: ``fields``, ``podtemplate``, ``spec``, ``readings``, ``sharing``, ``learning``,
``scaling``, ``behavior``, ``brake``, ``deciding``, ``planning``, ``manifests``, ``conditions``,
``status``, ``why``; and, for metrics, ``tally``, ``snapshot``, ``families``, ``gauges``,
``queuegauges``, ``poolgauges``. ``local`` runs pools on one machine, ``asking`` is ``forq why``.
"""
