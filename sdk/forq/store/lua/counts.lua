-- counts: count a queue's jobs by state, and return its totals.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- Returns {paused, scheduled, queued, running, succeeded, failed, canceled, corrupt, the oldest
--   wait in ms, scheduled but due, running with expired leases, the totals' names and values}

local bad = open(
  { READY, RUNNING, SCHEDULED, SUCCEEDED, FAILED, CANCELED, CORRUPT },
  { STATS }
)
if bad then return bad end

local oldest = NOW
local function look(keys)
  local fields = keys[1] and read(keys[1], "s", "d", "e")
  if fields then oldest = math.min(oldest, number(fields[2] or fields[3], NOW)) end
end

-- Of each band, the longest waiting is the first of those that queued up, or the last of those
-- that were put at the front.
if call("ZCARD", READY) > 0 then
  for band = 0, 9 do
    local middle = band * BAND
    look(call("ZRANGEBYSCORE", READY, middle, middle + BAND / 2, "LIMIT", 0, 1))
    look(call("ZREVRANGEBYSCORE", READY, middle, middle - BAND / 2, "LIMIT", 0, 1))
  end
end
local first_due = call("ZRANGE", SCHEDULED, 0, 0, "WITHSCORES")[2]
if first_due then oldest = math.min(oldest, tonumber(first_due)) end

local alive = "(" .. NOW_TEXT
return {
  paused and 1 or 0,
  call("ZCARD", SCHEDULED), call("ZCARD", READY), call("ZCARD", RUNNING),
  call("ZCOUNT", SUCCEEDED, alive, "+inf"), call("ZCOUNT", FAILED, alive, "+inf"),
  call("ZCOUNT", CANCELED, alive, "+inf"), call("ZCARD", CORRUPT),
  NOW - oldest,
  call("ZCOUNT", SCHEDULED, "-inf", NOW), call("ZCOUNT", RUNNING, "-inf", NOW),
  call("HGETALL", STATS),
}
