-- enqueue: take new jobs, all or none.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1..4] for each job: key, nonce, body, options ("" or "priority front delay due ttl")
-- Returns one word a job: queued, scheduled, exists (sent again), duplicate (another job has the
--   key; then nothing was written, and the others say refused)

local plain = true
for i = 4, #ARGV, 4 do
  if ARGV[i] ~= "" then plain = false break end
end
local zsets = plain and { READY, WAKE, CORRUPT } or { READY, SCHEDULED, EXPIRING, WAKE, CORRUPT }
local bad = open(zsets, { STATS })
if bad then return bad end

local OPTIONS = "^(%d) (%d) (%d+) (%d+) (%d+)$"
local replies, jobs, seen, clash, suspect = {}, {}, {}, false, call("ZCARD", CORRUPT) > 0
do
  local hashes = {}
  for i = 1, #ARGV, 4 do hashes[#hashes + 1] = JOB .. ARGV[i] end
  for i = 1, #hashes, CHUNK do
    local found = call("EXISTS", unpack(hashes, i, math.min(i + CHUNK - 1, #hashes)))
    suspect = suspect or found > 0
  end
end

for i = 1, #ARGV, 4 do
  local key, nonce, n = ARGV[i], ARGV[i + 1], #replies + 1
  if ARGV[i + 3] ~= "" and not ARGV[i + 3]:match(OPTIONS) then
    return redis.error_reply("FORQ_OPTIONS job " .. key .. " has unreadable options")
  end
  local known = seen[key]
  if suspect and not known then
    local fields = read(key, "s", "n")
    if fields then
      known = fields[2] or ""
    elseif fields == false or call("ZSCORE", CORRUPT, key) then
      known = ""
    end
  end
  if not known then
    seen[key] = nonce
    jobs[#jobs + 1] = i
    replies[n] = ARGV[i + 3] == "" and "queued" or false
  elseif known == nonce then
    replies[n] = "exists"
  else
    replies[n], clash = "duplicate", true
  end
end
if clash then
  for n, reply in ipairs(replies) do
    if reply ~= "duplicate" and reply ~= "exists" then replies[n] = "refused" end
  end
  return replies
end
if #jobs == 0 then
  -- Sent again: a WAIT behind this is for what its connection wrote, which may be a new one.
  if #replies > 0 then
    begin()
    call("HSET", META, "seq", seq)
  end
  return replies
end

-- The bodies first: with the memory full, Redis refuses here, before anything is written.
local bodies = {}
for _, i in ipairs(jobs) do
  bodies[#bodies + 1] = BODY .. ARGV[i]
  bodies[#bodies + 1] = ARGV[i + 2]
end
many("MSET", nil, bodies)
for _, i in ipairs(jobs) do
  local key, nonce, options = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  if #ARGV[i + 2] > LARGE then call("HSET", JOB .. key, "v", #ARGV[i + 2]) end
  if options == "" then
    call("HSET", JOB .. key, "s", "queued", "n", nonce, "e", NOW_TEXT)
    enqueue_key(key, 5, false)
  else
    local priority, front, delay, date, ttl = options:match(OPTIONS)
    local due = math.max(tonumber(date), NOW + tonumber(delay))
    local later, due_text = due > NOW, string.format("%.0f", due)
    local fields = { "s", later and "scheduled" or "queued", "n", nonce, "e", NOW_TEXT }
    local function set(name, value)
      fields[#fields + 1], fields[#fields + 2] = name, value
    end
    if priority ~= "5" then set("p", priority) end
    if front == "1" then set("o", "1") end
    if later then set("d", due_text) end
    if ttl ~= "0" then set("u", string.format("%.0f", due + tonumber(ttl))) end
    call("HSET", JOB .. key, unpack(fields))
    if later then
      schedule_key(key, due)
    else
      enqueue_key(key, tonumber(priority), front == "1")
      if ttl ~= "0" then enter(EXPIRING, due + tonumber(ttl), key) end
    end
    replies[(i + 3) / 4] = later and "scheduled" or "queued"
  end
end
add("enqueued", #jobs)
commit()
return replies
