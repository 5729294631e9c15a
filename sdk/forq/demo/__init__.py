"""The demo: a real job for each file of the Python standard library, through a real Redis.

``forq.demo.analysis`` is what the workers run; ``forq.demo.play`` is the play itself: a pool that
grows from no workers to as many as it needs and back, one of them killed half-way, and a table at
the end. Nothing here is needed to use forq.
"""
