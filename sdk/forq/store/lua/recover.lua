-- recover: take jobs from workers whose leases ran out; carefully, where Redis itself was away.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the worker that asks
-- ARGV[2] the nonce of this call; the same once more gets the same answer
-- ARGV[3] the server's run id, where scripts may not ask for it
-- ARGV[4] the lease, ms
-- ARGV[5] at most this many jobs
-- ARGV[6] how many lost leases a job survives
-- ARGV[7] how long a job is kept whose cancelation was asked for, ms
-- Returns {requeued, waiting, claimed at, then for each poisoned job, which the worker now holds: key,
--   body, attempt, recoveries, enqueued, blocked since}

local bad = open({ READY, RUNNING, CANCELED, EXPIRING, CORRUPT, WAKE }, { STATS, HELD })
if bad then return bad end

local token = ARGV[1] .. "/" .. ARGV[2]
local meta = call("HMGET", META, "recovered", "run", "calm", "lease")
local lease = math.max(tonumber(ARGV[4]), number(meta[4], 0))
local info = try("INFO", "server")
local run = not refused(info) and info:match("run_id:(%w+)") or ARGV[3]
local gap = math.abs(NOW - number(meta[1], 0))
local reply = { 0, 0, NOW }

local function give(key, body, fields)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = key, body, number(fields[2], 0)
  reply[n + 4], reply[n + 5] = number(fields[3], 0), number(fields[4], 0)
  reply[n + 6] = number(fields[5], 0)
end

local function calm_down()
  call("HSET", META, "recovered", NOW_TEXT, "run", run, "calm", NOW + lease)
  local late = call("ZRANGEBYSCORE", RUNNING, string.format("(%.0f", NOW + lease), "+inf")
  for _, key in ipairs(late) do enter(RUNNING, NOW + lease, key) end
  commit()
end

local function repeat_answer(memo)
  local keys = {}
  for key in memo:gmatch("%S+") do keys[#keys + 1] = key end
  reply[3] = tonumber(keys[2])
  for i = 3, #keys do
    local key = keys[i]
    local fields = read(key, "s", "a", "l", "e", "b", "t")
    local body = fields and call("MGET", BODY .. key)[1]
    if body and fields[1] == "running" and fields[6] == token then give(key, body, fields) end
  end
end

local function recover_expired()
  local memo = { ARGV[2], NOW_TEXT }
  local limit = math.min(tonumber(ARGV[5]), CHUNK)
  local expired = call("ZRANGEBYSCORE", RUNNING, "-inf", NOW, "LIMIT", 0, limit)
  -- The last one first, so that the first ends at the very front.
  for n = #expired, 1, -1 do
    local key = expired[n]
    local fields = read(key, "s", "a", "l", "e", "b", "t", "k", "w", "p")
    local poison = fields and not fields[7] and number(fields[3], 0) >= tonumber(ARGV[6])
    local body = poison and call("MGET", BODY .. key)[1]
    if not fields or fields[1] ~= "running" or (poison and not body) then
      set_aside(key, RUNNING)
    else
      local recoveries = number(fields[3], 0) + 1
      add("recoveries", 1)
      add("try:lost", 1)
      hold(fields[6] or "", -1)
      if fields[7] then
        leave(RUNNING, key)
        finish(key, "canceled", tonumber(ARGV[7]), "canceled", fields[8])
      elseif poison then
        fields[3] = recoveries
        enter(RUNNING, NOW + lease, key)
        hold(token, 1)
        call("HSET", JOB .. key, "t", token, "l", recoveries, "c", NOW_TEXT)
        memo[#memo + 1] = key
        give(key, body, fields)
      else
        leave(RUNNING, key)
        local attempt = math.max(0, number(fields[2], 1) - 1)
        call("HSET", JOB .. key, "s", "queued", "t", "", "d", NOW_TEXT,
          "a", attempt, "l", recoveries)
        enqueue_key(key, number(fields[9], 5), true)
        reply[1] = reply[1] + 1
      end
    end
  end
  commit()
  if #memo > 2 then call("HSET", HELD, ARGV[1] .. "/poison", table.concat(memo, " ")) end
end

local memo = call("HGET", HELD, ARGV[1] .. "/poison")
begin()
if gap > 5000 or meta[2] ~= run then
  calm_down()
  reply[2] = 1
  return reply
end
if gap >= 1000 then call("HSET", META, "recovered", NOW_TEXT) end
if memo and memo:match("^%S+") == ARGV[2] then
  repeat_answer(memo)
elseif NOW < number(meta[3], 0) then
  reply[2] = 1
else
  recover_expired()
end
return reply
