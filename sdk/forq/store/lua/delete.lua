-- delete: remove jobs and all that belongs to them, unless they run; unreadable ones too.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] for each job: its key
-- Returns one word a job: deleted, running, missing

local bad = open(
  { READY, RUNNING, SCHEDULED, SUCCEEDED, FAILED, CANCELED, EXPIRING, CORRUPT, WAKE },
  { STATS }
)
if bad then return bad end

local replies, seen = {}, {}
begin()
for i = 1, #ARGV do
  local key = ARGV[i]
  local fields = not seen[key] and read(key, "s", "w")
  local place = not seen[key] and whereabouts(key)
  if place == "running" then
    replies[#replies + 1] = "running"
  elseif place or fields then
    if place == "corrupt" then leave(CORRUPT, key) elseif place then leave(SETS[place], key) end
    leave(EXPIRING, key)
    if fields then tell(key, fields[2]) end
    doom(key)
    -- Jobs set aside are in the totals already.
    if place ~= "corrupt" then add("deleted", 1) end
    seen[key] = true
    replies[#replies + 1] = "deleted"
  else
    replies[#replies + 1] = "missing"
  end
end
commit()
return replies
