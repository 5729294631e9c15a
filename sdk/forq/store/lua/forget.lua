-- forget: take back a waiter's registration.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the end of the channel's name
-- ARGV[2] the job's key
-- Returns 0

local bad = open({ WAKE }, {})
if bad then return bad end

local fields = read(ARGV[2], "s", "w")
if not fields or not fields[2] then return 0 end
local kept = {}
for one, waiter in fields[2]:gmatch("((%w+):%d+:?%d*)") do
  if waiter ~= ARGV[1] then kept[#kept + 1] = one end
end
begin()
if #kept == 0 then
  call("HDEL", JOB .. ARGV[2], "w")
else
  call("HSET", JOB .. ARGV[2], "w", table.concat(kept, " "))
end
return 0
