-- requeue: give failed and canceled jobs a new life at the end of the queue.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] for each job: its key
-- Returns one word a job: queued, not-finished, succeeded, missing

local bad = open({ READY, SUCCEEDED, FAILED, CANCELED, WAKE }, { STATS })
if bad then return bad end

local FINISHED = { succeeded = true, failed = true, canceled = true }
local replies, seen = {}, {}

local function verdict(key, fields)
  local state = seen[key] or (fields and fields[1])
  if not state or not SETS[state] then return "missing" end
  if not FINISHED[state] then return "not-finished" end
  local expires = call("ZSCORE", SETS[state], key)
  if not expires or tonumber(expires) <= NOW then return "missing" end
  return state == "succeeded" and state or "queued"
end

begin()
for i = 1, #ARGV do
  local key = ARGV[i]
  local fields = read(key, "s", "p", "t")
  local reply = verdict(key, fields)
  replies[i] = reply
  if reply == "queued" then
    leave(SETS[fields[1]], key)
    -- `z` keeps the last token: its settlement, sent again, is still "already".
    call("HSET", JOB .. key, "s", "queued", "z", fields[3] or "", "d", NOW_TEXT)
    call("HDEL", JOB .. key, "a", "l", "t", "f", "y", "b", "k", "u", "g", "r")
    call("DEL", END .. key)
    enqueue_key(key, number(fields[2], 5), false)
    add("requeued", 1)
    seen[key] = "queued"
  end
end
commit()
return replies
