"""``forq why``: the decision for a pool, made or fetched, in words. Changes nothing anywhere."""
