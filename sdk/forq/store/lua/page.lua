-- page: list keys of jobs in one state, a page at a time.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the state, or "corrupt"
-- ARGV[2] how many to pass over
-- ARGV[3] how many to list
-- ARGV[4] 1: the newest first
-- Returns the keys

local set = ARGV[1] == "corrupt" and CORRUPT or SETS[ARGV[1]]
local bad = open({ set }, {})
if bad then return bad end

-- What is past its expiry is gone already, though nobody has swept it up yet.
local from = "-inf"
if set == SUCCEEDED or set == FAILED or set == CANCELED then from = "(" .. NOW_TEXT end
if ARGV[4] == "1" then
  return call("ZREVRANGEBYSCORE", set, "+inf", from, "LIMIT", ARGV[2], ARGV[3])
end
return call("ZRANGEBYSCORE", set, from, "+inf", "LIMIT", ARGV[2], ARGV[3])
