-- settle: note what became of jobs that a worker held, and trim what is past its time.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] at most this many failed, and canceled, jobs are kept
-- ARGV[2] how many lost leases a job survives
-- ARGV[3] how long a job is kept that ends otherwise than its settlement says, ms
-- ARGV[4] a packed sample of these outcomes, for whoever watches how tries end lately; or ""
-- ARGV[5..14] for each job: key, token, verdict, end, ttl, error, cause, delay, run, apart
--   apart 1: the end of a success was written by itself, under a key with the token: a large one
--   does not have to pass through Lua
-- Returns one word a job: settled, already, stale, missing, corrupt, unsent (the end that is apart is
--   not there, or may not be moved: nothing was changed)

local bad = open(
  { READY, RUNNING, SCHEDULED, SUCCEEDED, FAILED, CANCELED, EXPIRING, CORRUPT, WAKE },
  { STATS, HELD }, { OUTCOMES }
)
if bad then return bad end

local keep, max_recoveries, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local replies, accepted, seen = {}, {}, {}
local OUTCOMES_KEPT = 200 -- entries, and what else is in the oldest one's node

local function apart(i)
  return ARGV[i + 9] == "1" and APART .. ARGV[i] .. ":" .. ARGV[i + 1]
end

for i = 5, #ARGV, 10 do
  local key, token, n = ARGV[i], ARGV[i + 1], #replies + 1
  local fields = read(key, "s", "t", "z", "k", "w", "a", "l", "p", "b")
  if fields == nil then
    replies[n] = "missing"
    if call("ZSCORE", RUNNING, key) then set_aside(key, RUNNING) end
  elseif not fields then
    replies[n] = "corrupt"
    if call("ZSCORE", RUNNING, key) then set_aside(key, RUNNING) end
  elseif fields[3] == token or (fields[2] == token and (seen[key] or fields[1] ~= "running")) then
    replies[n] = "already"
  elseif fields[1] ~= "running" or fields[2] ~= token then
    replies[n] = "stale"
  elseif apart(i) and (ARGV[i + 2] ~= "succeeded" or call("EXISTS", apart(i)) == 0) then
    replies[n] = "unsent"
  else
    replies[n] = "settled"
    seen[key] = true
    accepted[#accepted + 1] = { i, fields, n }
  end
  doomed[#doomed + 1] = apart(i) or nil -- what is still there of it at the end
end
trim(2 * #replies, keep)

local function end_job(i, state, ttl, cause, fields)
  finish(ARGV[i], state, ttl, cause, fields[5], ttl ~= 0 and ARGV[i + 3])
end

-- Back to `ready` or `scheduled`; an attempt that the job's own code did not have is given back.
local function again(i, fields, verdict)
  local key, delay = ARGV[i], tonumber(ARGV[i + 7])
  local changes = { "s", "queued", "z", ARGV[i + 1], "d", string.format("%.0f", NOW + delay) }
  local function set(name, value)
    changes[#changes + 1], changes[#changes + 2] = name, value
  end
  if verdict == "retry" then
    if fields[9] then call("HDEL", JOB .. key, "b") end
  else
    set("a", math.max(0, number(fields[6], 1) - 1))
  end
  if verdict == "lost" then
    set("l", number(fields[7], 0) + 1)
    add("recoveries", 1)
    enqueue_key(key, number(fields[8], 5), true)
  else
    if verdict == "blocked" and not fields[9] then set("b", NOW_TEXT) end
    add(verdict == "retry" and "retried" or "blocked", 1)
    if delay > 0 then
      changes[2] = "scheduled"
      schedule_key(key, NOW + delay)
    else
      enqueue_key(key, number(fields[8], 5), false)
    end
  end
  call("HSET", JOB .. key, unpack(changes))
end

-- Makes the end that is apart the job's; false where the user of Redis may not do that.
local function moved(i, ttl)
  if not apart(i) or ttl == 0 then return true end
  if refused(try("RENAME", apart(i), END .. ARGV[i])) then return false end
  if ttl > 0 then
    try("PEXPIRE", END .. ARGV[i], ttl)
  else
    try("PERSIST", END .. ARGV[i])
  end
  return true
end

local function settle(i, fields)
  local key, verdict, ttl, cause = ARGV[i], ARGV[i + 2], tonumber(ARGV[i + 4]), ARGV[i + 6]
  local canceled = fields[4] and "canceled"
  leave(RUNNING, key)
  hold(ARGV[i + 1], -1)
  if verdict ~= "succeeded" and verdict ~= "canceled" then
    add("try:" .. (cause == "" and verdict or cause), 1)
  end
  if (verdict == "succeeded" or verdict == "failed" or verdict == "retry") and cause ~= "poison" then
    observe("run", tonumber(ARGV[i + 8]))
  end
  remember(key, ARGV[i + 5])
  if verdict == "succeeded" then
    end_job(i, "succeeded", ttl, "", fields)
  elseif verdict == "failed" then
    end_job(i, "failed", ttl, cause, fields)
  elseif verdict == "canceled" then
    end_job(i, "canceled", ttl, cause == "" and "canceled" or cause, fields)
  elseif canceled then
    finish(key, "canceled", ttl == 0 and kept or ttl, "canceled", fields[5])
  elseif verdict == "lost" and number(fields[7], 0) >= max_recoveries then
    call("HSET", JOB .. key, "l", number(fields[7], 0) + 1)
    add("recoveries", 1)
    end_job(i, "failed", ttl == 0 and kept or ttl, "poison", fields)
  else
    again(i, fields, verdict)
  end
end

begin()
local changed
for _, one in ipairs(accepted) do
  if moved(one[1], tonumber(ARGV[one[1] + 4])) then
    changed = changed or one[1]
    settle(one[1], one[2])
  else
    replies[one[3]] = "unsent"
  end
end
commit()
-- Nothing depends on this entry: whatever refuses it, the jobs are settled.
if ARGV[4] ~= "" and changed then
  local worker = ARGV[changed + 1]:match("^(.*)/") or ""
  try("XADD", OUTCOMES, "MAXLEN", "~", OUTCOMES_KEPT, "*", "w", worker, "o", ARGV[4])
end
return replies
