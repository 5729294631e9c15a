-- cancel: end jobs that have not started; ask for the end of those that run.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] how long canceled jobs are kept, ms
-- ARGV[2] for each job: its key
-- Returns one word a job: canceled, flagged (its worker will stop it), finished, missing

local bad = open({ READY, SCHEDULED, CANCELED, EXPIRING, CORRUPT, WAKE }, { STATS })
if bad then return bad end

local replies, seen = {}, {}
begin()
for i = 2, #ARGV do
  local key = ARGV[i]
  local fields = not seen[key] and read(key, "s", "u", "w")
  local state = seen[key] or (fields and fields[1])
  local set = state and SETS[state]
  if state == "queued" or state == "scheduled" then
    leave(set, key)
    if fields[2] then leave(EXPIRING, key) end
    finish(key, "canceled", tonumber(ARGV[1]), "canceled", fields[3])
    seen[key] = "canceled"
    replies[#replies + 1] = "canceled"
  elseif state == "running" then
    call("HSET", JOB .. key, "k", "1")
    replies[#replies + 1] = "flagged"
  else
    replies[#replies + 1] = set and "finished" or "missing"
  end
end
commit()
return replies
