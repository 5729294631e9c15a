-- purge: remove the first jobs of some states.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] at most this many jobs
-- ARGV[2] for each state: its name; not running
-- Returns how many jobs were removed

local bad = open(
  { READY, SCHEDULED, SUCCEEDED, FAILED, CANCELED, EXPIRING, CORRUPT, WAKE },
  { STATS }
)
if bad then return bad end

local removed, limit, seen = 0, tonumber(ARGV[1]), {}
begin()
for i = 2, #ARGV do
  local set = ARGV[i] == "corrupt" and CORRUPT or SETS[ARGV[i]]
  local wanted = limit > removed and not seen[set]
  local keys = wanted and call("ZRANGE", set, 0, limit - removed - 1) or {}
  seen[set] = true -- its jobs leave it no sooner than at the end
  for _, key in ipairs(keys) do
    local fields = read(key, "s", "w")
    leave(set, key)
    if set == READY then leave(EXPIRING, key) end
    if fields then tell(key, fields[2]) end
    doom(key)
  end
  removed = removed + #keys
  if set ~= CORRUPT and #keys > 0 then add("deleted", #keys) end
end
commit()
return removed
