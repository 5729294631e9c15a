-- workers: return the living workers, and forget those whose heartbeat has run out.
--
-- KEYS[1] the registry `{P:workers}`
-- KEYS[2] the prefix of the workers' hashes `{P:workers}:`, a key that never exists
-- Returns for each worker: its id, its hash's fields and values

local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local gone = redis.pcall("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
if type(gone) == "table" and gone.err then return redis.error_reply(gone.err) end
local reply = {}
for _, worker in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
  local fields = redis.pcall("HGETALL", KEYS[2] .. worker)
  if not fields.err and #fields > 0 then
    reply[#reply + 1] = worker
    reply[#reply + 1] = fields
  end
end
return reply
