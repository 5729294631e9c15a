-- goodbye: forget a worker that has ended.
--
-- KEYS[1] the registry `{P:workers}`
-- KEYS[2] the worker's hash `{P:workers}:<id>`
-- ARGV[1] the worker
-- Returns 0

redis.call("DEL", KEYS[2])
redis.call("ZREM", KEYS[1], ARGV[1])
return 0
