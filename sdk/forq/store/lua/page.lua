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

-- By rank, which a sorted set finds at once; what it is to pass over it would walk along. What is
-- past its expiry is gone already, though nobody has swept it up yet.
local gone = 0
if set == SUCCEEDED or set == FAILED or set == CANCELED then
  gone = call("ZCOUNT", set, "-inf", NOW_TEXT)
end
local first, number = tonumber(ARGV[2]), tonumber(ARGV[3])
if number <= 0 then return {} end
if ARGV[4] == "1" then
  local last = math.min(first + number, call("ZCARD", set) - gone) - 1
  return last < first and {} or call("ZREVRANGE", set, first, last)
end
return call("ZRANGE", set, gone + first, gone + first + number - 1)
