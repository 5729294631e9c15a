-- claim: give a worker jobs under a lease, after making due jobs ready and expiring stale ones.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the worker
-- ARGV[2] the nonce of this claim; the same once more gets the same answer
-- ARGV[3] at most this many jobs; fewer where their bodies are large, but one
-- ARGV[4] the lease, ms
-- ARGV[5] how long expired jobs are kept, ms
-- ARGV[6] bodies above so many bytes are left where they are, null here; 0: none
-- Returns {more, ms to the next due job or -1, draining, paused, claimed at, then for each job: key, body,
--   attempt, recoveries, enqueued, blocked since}

local worker, token = ARGV[1], ARGV[1] .. "/" .. ARGV[2]
local limit, lease, kept = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most = tonumber(ARGV[6])
local MOST_BYTES, PIECE = 4 * 1024 * 1024, 32
local bad = open(
  { READY, RUNNING, SCHEDULED, CANCELED, EXPIRING, CORRUPT, WAKE, DRAINING },
  { STATS, HELD }
)
if bad then return bad end

local reply = { 0, -1, 0, paused and 1 or 0, NOW }
local drain_mark = call("ZSCORE", DRAINING, worker)
local draining = drain_mark and tonumber(drain_mark) > NOW
reply[3] = draining and 1 or 0

local function give(key, body, fields, attempt)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = key, body ~= true and body, attempt
  reply[n + 4], reply[n + 5] = number(fields[3], 0), number(fields[4], 0)
  reply[n + 6] = number(fields[6], 0)
end

-- Due jobs become ready, jobs whose ttl ran out are canceled: at most 1,000 in all.
local function turn_over()
  local due = call("ZRANGEBYSCORE", SCHEDULED, "-inf", NOW, "LIMIT", 0, CHUNK)
  local stale = {}
  if #due < CHUNK then
    stale = call("ZRANGEBYSCORE", EXPIRING, "-inf", NOW, "LIMIT", 0, CHUNK - #due)
  end
  if #due + #stale == 0 then return end
  begin()
  for _, key in ipairs(due) do
    local fields = read(key, "s", "p", "o", "u", "w")
    if not fields or fields[1] ~= "scheduled" then
      set_aside(key, SCHEDULED)
    else
      leave(SCHEDULED, key)
      local until_ms = number(fields[4], math.huge)
      if until_ms <= NOW then
        finish(key, "canceled", kept, "expired", fields[5])
      else
        call("HSET", JOB .. key, "s", "queued")
        enqueue_key(key, number(fields[2], 5), fields[3])
        if fields[4] then enter(EXPIRING, until_ms, key) end
      end
    end
  end
  for _, key in ipairs(stale) do
    local fields = read(key, "s", "w")
    if not fields and call("ZSCORE", READY, key) then
      set_aside(key, READY)
    else
      leave(EXPIRING, key)
      if fields and fields[1] == "queued" then
        leave(READY, key)
        finish(key, "canceled", kept, "expired", fields[2])
      end
    end
  end
  commit()
end

-- The jobs at the head that may go together: one whose lease was lost before goes alone. No more
-- are read than their bodies leave room for, as far as their sizes are known.
local function choose()
  local chosen, bytes = {}, 0
  for _, key in ipairs(call("ZRANGE", READY, 0, math.min(limit, CHUNK) - 1)) do
    local fields = read(key, "s", "a", "l", "e", "d", "b", "u", "w", "v")
    if not fields or fields[1] ~= "queued" or not tonumber(fields[4] or "") then
      set_aside(key, READY)
    elseif fields[7] and number(fields[7], 0) <= NOW then
      chosen[#chosen + 1] = { key, fields, true }
    elseif number(fields[3], 0) == 0 then
      chosen[#chosen + 1] = { key, fields }
    else
      if #chosen == 0 then chosen[1] = { key, fields } end
      break
    end
    if fields and fields[9] then
      bytes = bytes + number(fields[9], 0)
      if bytes >= MOST_BYTES then break end
    end
  end
  return chosen
end

-- How large a body is that is left where it is, since its way through Lua takes as long as all
-- the rest of a claim. The field is there only where a body is large.
local function apart(size)
  return size and most > 0 and number(size, 0) > most and number(size, 0)
end

-- Their bodies; true for one that is left where it is, false for one that is not there. Of the last
-- ones none, where that would make the answer so large that it may not arrive in time: who claims
-- would ask again, for ever, while the leases run out.
local function bodies_of(chosen)
  local bodies, bytes = {}, 0
  for first = 1, #chosen, PIECE do
    local keys, last = {}, math.min(first + PIECE - 1, #chosen)
    for i = first, last do
      keys[#keys + 1] = apart(chosen[i][2][9]) and P or BODY .. chosen[i][1]
    end
    local found = call("MGET", unpack(keys))
    for i = first, last do
      local size, body = apart(chosen[i][2][9]), found[i - first + 1]
      if size then body = call("EXISTS", BODY .. chosen[i][1]) == 1 end
      bytes = bytes + (size or body and #body or 0)
      if bytes > MOST_BYTES and #bodies > 0 then return bodies end
      bodies[#bodies + 1] = body
    end
  end
  return bodies
end

local function take(chosen)
  local bodies = bodies_of(chosen)
  local memo = { ARGV[2], NOW_TEXT }
  local lease_end = string.format("%.0f", NOW + lease)
  begin()
  for i, job in ipairs(chosen) do
    local key, fields, expired = job[1], job[2], job[3]
    if bodies[i] == nil then break end
    if not bodies[i] then
      set_aside(key, READY)
    elseif expired then
      leave(READY, key)
      leave(EXPIRING, key)
      finish(key, "canceled", kept, "expired", fields[8])
    else
      local attempt = number(fields[2], 0) + 1
      leave(READY, key)
      enter(RUNNING, lease_end, key)
      call("HSET", JOB .. key, "s", "running", "t", token, "c", NOW_TEXT, "a", attempt)
      if fields[7] then
        leave(EXPIRING, key)
        call("HDEL", JOB .. key, "u")
      end
      observe("wait", NOW - number(fields[5] or fields[4], NOW))
      add("claimed", 1)
      hold(token, 1)
      memo[#memo + 1] = key
      give(key, bodies[i], fields, attempt)
    end
  end
  commit()
  call("HSET", HELD, worker .. "/claim", table.concat(memo, " "))
end

-- The answer of the same claim once more: those of its jobs that the worker still holds.
local function repeat_answer(memo)
  local keys = {}
  for key in memo:gmatch("%S+") do keys[#keys + 1] = key end
  reply[5] = tonumber(keys[2])
  for i = 3, #keys do
    local fields = read(keys[i], "s", "a", "l", "e", "t", "b", "v")
    local body = fields and (apart(fields[7]) and true or call("MGET", BODY .. keys[i])[1])
    if body and fields[1] == "running" and fields[5] == token then
      give(keys[i], body, fields, number(fields[2], 1))
    end
  end
end

turn_over()
local memo = call("HGET", HELD, worker .. "/claim")
if memo and memo:match("^%S+") == ARGV[2] then
  begin()
  repeat_answer(memo)
else
  local longest = call("HGET", META, "lease")
  take((draining or paused or limit == 0) and {} or choose())
  if lease > number(longest, 0) then call("HSET", META, "lease", lease) end
end

-- The marker stays only where claimable jobs are left: putting it back blindly spins.
call("ZREM", WAKE, "1")
local more = claimable()
if more then
  call("ZADD", WAKE, 0, "1")
  reply[1] = 1
end
local next_due = call("ZRANGE", SCHEDULED, 0, 0, "WITHSCORES")[2]
if next_due then reply[2] = math.max(0, tonumber(next_due) - NOW) end
return reply
