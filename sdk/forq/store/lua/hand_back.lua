-- hand_back: return jobs that a worker holds to the front, as if it had never claimed them.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] how long a job is kept whose cancelation was asked for meanwhile, ms
-- ARGV[2..3] for each job: key, token
-- Returns one word a job: settled, already, stale, missing, corrupt

local bad = open({ READY, RUNNING, CANCELED, EXPIRING, CORRUPT, WAKE }, { STATS, HELD })
if bad then return bad end

local replies, accepted, seen = {}, {}, {}
for i = 2, #ARGV, 2 do
  local key, token, n = ARGV[i], ARGV[i + 1], #replies + 1
  local fields = read(key, "s", "t", "z", "k", "w", "a", "p")
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
  else
    replies[n] = "settled"
    seen[key] = true
    accepted[#accepted + 1] = { key, token, fields }
  end
end

begin()
-- The last one first, so that the first ends at the very front.
for n = #accepted, 1, -1 do
  local key, token, fields = accepted[n][1], accepted[n][2], accepted[n][3]
  leave(RUNNING, key)
  hold(token, -1)
  if fields[4] then
    finish(key, "canceled", tonumber(ARGV[1]), "canceled", fields[5])
  else
    local attempt = math.max(0, number(fields[6], 1) - 1)
    call("HSET", JOB .. key, "s", "queued", "z", token, "d", NOW_TEXT, "a", attempt)
    enqueue_key(key, number(fields[7], 5), true)
    add("handed_back", 1)
  end
end
commit()
return replies
