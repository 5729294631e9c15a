-- heartbeat: note that a worker is alive, and what it says about itself.
--
-- KEYS[1] the registry `{P:workers}`
-- KEYS[2] the worker's hash `{P:workers}:<id>`
-- ARGV[1] the worker
-- ARGV[2] for how long this counts, ms
-- ARGV[3..4] for each thing it says: name, value
-- Returns 0

local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.pcall("ZSCORE", KEYS[1], ARGV[1])
if type(known) == "table" and known.err then
  return redis.error_reply("FORQ_WRONGTYPE the key " .. KEYS[1] .. " is no sorted set:"
    .. " something else wrote to it; rename or delete that key")
end

redis.call("DEL", KEYS[2])
redis.call("HSET", KEYS[2], "seen", string.format("%.0f", now))
for i = 3, #ARGV, 2 do redis.call("HSET", KEYS[2], "i:" .. ARGV[i], ARGV[i + 1]) end
redis.call("PEXPIRE", KEYS[2], ARGV[2])
redis.call("ZADD", KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 0
