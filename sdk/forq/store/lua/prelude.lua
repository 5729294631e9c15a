-- The prelude of every script on a queue: its keys, the clock, and one plan of changes. Of what
-- enqueue does with one plain job there is a shorter form before it: enqueue_one.lua.
--
-- A script first reads and checks all that it needs, and notes what is to change: `leave`, `enter`,
-- `set_aside`, `doom`, `tell`, `hold`, `add`. Then it calls `begin`, writes its jobs' hashes, and
-- calls `commit`, which carries the plan out. Nothing is written before `begin`, and after it no
-- command can fail: a script that aborts half-way would leave a job in no set.

-- KEYS[1] is the queue's prefix: a key that never exists. Beside KEYS[2], which does, it makes a
-- Cluster answer TRYAGAIN while it moves the slot, instead of running a script on half its keys.
local P, META = KEYS[1], KEYS[2]
local JOB, BODY, END, TRIES = P .. "job:", P .. "body:", P .. "end:", P .. "tries:"
local READY, RUNNING, SCHEDULED = P .. "ready", P .. "running", P .. "scheduled"
local SUCCEEDED, FAILED, CANCELED = P .. "succeeded", P .. "failed", P .. "canceled"
local EXPIRING, CORRUPT, WAKE = P .. "expiring", P .. "corrupt", P .. "wake"
local HELD, DRAINING, STATS = P .. "held", P .. "draining", P .. "stats"
local OUTCOMES, APART = P .. "outcomes", P .. "apart:"
local SETS = {
  scheduled = SCHEDULED, queued = READY, running = RUNNING,
  succeeded = SUCCEEDED, failed = FAILED, canceled = CANCELED,
}

local call, try = redis.call, redis.pcall
local BAND = 2 ^ 46
local CHUNK = 1000 -- unpack fails beyond about 8,000
local TRIES_KEPT = 10
local SHORT = 2048 -- an end up to so many bytes is told with the word that there is one
local LARGE = 65536 -- of a body above so many bytes the size is in the job's hash
local TINY = 64 -- an end up to so many bytes is kept in the job's hash, which stays compact by it
local BOUNDS = {
  5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000, math.huge,
}

local clock = call("TIME")
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
local NOW_TEXT = string.format("%.0f", NOW)

-- Reading -----------------------------------------------------------------------------------------

local paused, seq = false, 0

local function refused(reply)
  return type(reply) == "table" and reply.err
end

-- Checks the types of all that will be written, and reads `meta`. Returns an error reply, or nil.
local function open(zsets, hashes, streams)
  for probe, keys in pairs({ ZCARD = zsets, HLEN = hashes, XLEN = streams }) do
    for _, key in ipairs(keys) do
      local err = refused(try(probe, key))
      if err and err:find("WRONGTYPE", 1, true) then
        return redis.error_reply("FORQ_WRONGTYPE the key " .. key .. " holds another type than"
          .. " forq keeps there: something else wrote to it; rename or delete that key")
      elseif err then
        return redis.error_reply(err)
      end
    end
  end
  local meta = try("HMGET", META, "paused", "seq")
  if refused(meta) then
    return redis.error_reply("FORQ_WRONGTYPE the key " .. META .. " is no hash:"
      .. " something else wrote to it; rename or delete that key")
  end
  paused, seq = meta[1] == "1", tonumber(meta[2] or 0) or 0
end

-- A job's fields in the order asked for (`s`, its state, first). Returns nil when there is no such
-- job, false when its hash cannot be read.
local function read(key, ...)
  local fields = try("HMGET", JOB .. key, ...)
  if refused(fields) then
    return false
  elseif not fields[1] then
    if call("EXISTS", JOB .. key) == 1 then return false end
    return nil
  end
  return fields
end

local function number(field, default)
  return tonumber(field or default) or default
end

-- The name of the state set that a key is in, whatever its hash says; "corrupt" is one too.
local function whereabouts(key)
  if call("ZSCORE", CORRUPT, key) then return "corrupt" end
  for state, set in pairs(SETS) do
    if call("ZSCORE", set, key) then return state end
  end
end

-- Whether a claim would find something now.
local function claimable()
  if paused then return false end
  if call("ZCARD", READY) > 0 then return true end
  return #call("ZRANGEBYSCORE", SCHEDULED, "-inf", NOW, "LIMIT", 0, 1) > 0
end

-- The plan ----------------------------------------------------------------------------------------

local leaving, entering, doomed, told, holding, totals
local mark, seq_used, recount

local function fresh_plan()
  leaving, entering, doomed, told, holding, totals = {}, {}, {}, {}, {}, {}
  mark, seq_used, recount = false, false, false
end
fresh_plan()

local function leave(set, key)
  local list = leaving[set]
  if list then list[#list + 1] = key else leaving[set] = { key } end
end

local function enter(set, score, key)
  local list = entering[set]
  if not list then
    list = {}
    entering[set] = list
  end
  list[#list + 1] = score
  list[#list + 1] = key
end

local function add(total, n)
  totals[total] = (totals[total] or 0) + n
end

-- The jobs of one call mostly fall into the same bucket: the last one is tried first.
local bucket = 1
local function observe(histogram, ms)
  if ms < 0 then ms = 0 end
  if ms > BOUNDS[bucket] or bucket > 1 and ms <= BOUNDS[bucket - 1] then
    bucket = 1
    while ms > BOUNDS[bucket] do bucket = bucket + 1 end
  end
  add(histogram .. ":" .. BOUNDS[bucket], 1)
  add(histogram .. ":sum", ms)
end

-- Enters `ready`: at the end of the priority's band, or at its front.
local function enqueue_key(key, priority, front)
  seq = seq + 1
  seq_used = true
  local middle = (9 - priority) * BAND
  enter(READY, front and middle - seq or middle + seq, key)
  mark = not paused
end

local function schedule_key(key, due)
  enter(SCHEDULED, due, key)
end

-- Jobs that a worker holds: `token` is "worker/nonce".
local holders = {}
local function hold(token, n)
  local worker = holders[token]
  if not worker then
    worker = token:match("^(.*)/") or token
    holders[token] = worker
  end
  holding[worker] = (holding[worker] or 0) + n
end

-- Moves what cannot be read out of the way. Whose it was is unknown, so holders are counted anew.
local function set_aside(key, set)
  leave(set, key)
  leave(EXPIRING, key)
  enter(CORRUPT, NOW, key)
  add("corrupt", 1)
  recount = recount or set == RUNNING
end

-- Deletes all that a job consists of.
local function doom(key)
  local n = #doomed
  doomed[n + 1], doomed[n + 2] = JOB .. key, BODY .. key
  doomed[n + 3], doomed[n + 4] = END .. key, TRIES .. key
end

-- Tells those who wait for a job that it has finished, or is gone; and what is kept of the end.
local function tell(key, waiters, ending)
  if waiters then told[#told + 1] = { key, waiters, ending } end
end

-- When a finished job goes, as a score: text, made once for all jobs of a call with the same ttl.
local expiries = {}
local function expiry(ttl)
  local text = expiries[ttl]
  if not text then
    text = ttl < 0 and "+inf" or string.format("%.0f", NOW + ttl)
    expiries[ttl] = text
  end
  return text
end

-- Plans to drop finished jobs: past their expiry, or too many. Those that finished within the last
-- minute are spared by count, so that their clients can still see how they ended.
local function trim(limit, keep)
  local dropped = 0
  local function drop(set, key)
    leave(set, key)
    doom(key)
    dropped = dropped + 1
  end
  for _, set in ipairs({ SUCCEEDED, FAILED, CANCELED }) do
    for _, key in ipairs(call("ZRANGEBYSCORE", set, "-inf", NOW, "LIMIT", 0, limit)) do
      drop(set, key)
    end
    local excess = set == SUCCEEDED and 0 or call("ZCOUNT", set, "(" .. NOW_TEXT, "+inf") - keep
    if excess > 0 then
      local oldest = call("ZRANGEBYSCORE", set, "(" .. NOW_TEXT, "+inf", "LIMIT", 0, limit)
      for _, key in ipairs(oldest) do
        local fields = read(key, "s", "f")
        if excess > 0 and (not fields or NOW - number(fields[2], 0) > 60000) then
          drop(set, key)
          excess = excess - 1
        end
      end
    end
  end
  if dropped > 0 then add("dropped", dropped) end
  return dropped
end

-- Writing -----------------------------------------------------------------------------------------

-- The first write of every script but enqueue: Redis with its memory full refuses a script whose
-- first write may grow, and lets all the rest pass after one that cannot. It changes nothing.
local function begin()
  call("ZREM", WAKE, "")
end

local function many(command, key, args)
  for i = 1, #args, CHUNK do
    if key then
      call(command, key, unpack(args, i, math.min(i + CHUNK - 1, #args)))
    else
      call(command, unpack(args, i, math.min(i + CHUNK - 1, #args)))
    end
  end
end

local function increase(hash, field, n)
  local reply = try("HINCRBY", hash, field, n)
  if not refused(reply) then return reply end
  call("HSET", hash, field, n) -- it was no number
  return n
end

local function count_holders()
  for _, field in ipairs(call("HKEYS", HELD)) do
    if not field:find("/", 1, true) then call("HDEL", HELD, field) end
  end
  local counts = {}
  for _, key in ipairs(call("ZRANGE", RUNNING, 0, -1)) do
    local fields = read(key, "s", "t")
    if fields and fields[2] then
      local worker = fields[2]:match("^(.*)/") or fields[2]
      counts[worker] = (counts[worker] or 0) + 1
    end
  end
  for worker, n in pairs(counts) do call("HSET", HELD, worker, n) end
end

local function remember(key, error)
  if error == "" then return end
  if call("TYPE", TRIES .. key).ok ~= "list" then call("DEL", TRIES .. key) end
  call("RPUSH", TRIES .. key, error)
  call("LTRIM", TRIES .. key, -TRIES_KEPT, -1)
end

local function publish()
  local namespace, queue = P:match("^(.*):{(.*)}:$")
  for _, one in ipairs(told) do
    local ending = one[3] and #one[3] <= SHORT and one[3] or ""
    call("HDEL", JOB .. one[1], "w")
    for waiter, question in one[2]:gmatch("(%w+):%d+:?(%d*)") do
      local said = queue .. ":" .. one[1]
      if question ~= "" and ending ~= "" then said = said .. " " .. question .. " " .. ending end
      call("PUBLISH", namespace .. ":done:" .. waiter, said)
    end
  end
end

local function commit()
  local due = entering[SCHEDULED]
  if due and not paused then
    local first = call("ZRANGE", SCHEDULED, 0, 0, "WITHSCORES")[2]
    local earliest = first and tonumber(first) or math.huge
    for i = 1, #due, 2 do
      if due[i] < earliest then mark = true end
    end
  end
  for set, keys in pairs(leaving) do many("ZREM", set, keys) end
  if #told > 0 then publish() end
  if #doomed > 0 then many("DEL", nil, doomed) end
  for set, pairs_of in pairs(entering) do many("ZADD", set, pairs_of) end
  if seq_used then call("HSET", META, "seq", seq) end
  if recount then
    count_holders()
  else
    for worker, n in pairs(holding) do
      if n ~= 0 and increase(HELD, worker, n) <= 0 then call("HDEL", HELD, worker) end
    end
  end
  for total, n in pairs(totals) do increase(STATS, total, n) end
  if mark then call("ZADD", WAKE, 0, "1") end
  fresh_plan()
end

-- Ends a job. `ttl` 0 keeps nothing of it, -1 keeps it for ever. `ending` is what is kept of how it
-- ended: in the hash where it is tiny. Called between begin and commit.
local function finish(key, state, ttl, cause, waiters, ending)
  tell(key, waiters, ending)
  add(state, 1)
  if state == "failed" then add("failed:" .. cause, 1) end
  if cause == "expired" then add("expired", 1) end
  if ttl == 0 then
    doom(key)
    add("dropped", 1)
  else
    enter(SETS[state], expiry(ttl), key)
    local hash, size = JOB .. key, ending and #ending or 0
    if size > 0 and size <= TINY then
      call("HSET", hash, "s", state, "f", NOW_TEXT, "r", ending)
    else
      call("HSET", hash, "s", state, "f", NOW_TEXT)
    end
    if size > TINY and ttl > 0 then
      call("SET", END .. key, ending, "PX", ttl)
    elseif size > TINY then
      call("SET", END .. key, ending)
    end
    if cause ~= "" then call("HSET", hash, "y", cause) end
  end
end
