-- enqueue_one: what most calls of enqueue are, one job without options, without the prelude.
--
-- It is the first part of the script enqueue, does the same in fewer commands, and leaves all that
-- is not quite usual to the rest of it: another option, a key that is known or spoilt, a pause, a
-- full memory. What may be refused is written first; then only a marker is there, which a claim
-- takes away when it finds nothing. KEYS and ARGV are those of enqueue.

local function enqueue_one()
  local P, META, key, call, try = KEYS[1], KEYS[2], ARGV[1], redis.call, redis.pcall
  local job, stats, ready = P .. "job:" .. key, P .. "stats", P .. "ready"
  local meta = try("HMGET", META, "paused", "seq")
  if meta.err or meta[1] == "1" or call("EXISTS", job, P .. "corrupt") > 0 then return end
  local seq = (tonumber(meta[2] or 0) or 0) + 1
  local refused = try("ZADD", P .. "wake", 0, "1")
  if type(refused) == "table" then return end
  refused = try("HINCRBY", stats, "enqueued", 1)
  if type(refused) == "table" then return end
  refused = try("ZADD", ready, string.format("%.0f", 4 * 2 ^ 46 + seq), key)
  if type(refused) == "table" then
    call("HINCRBY", stats, "enqueued", -1)
    return
  end
  local clock = call("TIME")
  local now = string.format("%.0f", clock[1] * 1000 + math.floor(clock[2] / 1000))
  call("SET", P .. "body:" .. key, ARGV[3])
  call("HSET", job, "s", "queued", "n", ARGV[2], "e", now)
  if #ARGV[3] > 65536 then call("HSET", job, "v", #ARGV[3]) end
  call("HSET", META, "seq", seq)
  return { "queued" }
end

if #ARGV == 4 and ARGV[4] == "" then
  local reply = enqueue_one()
  if reply then return reply end
end
