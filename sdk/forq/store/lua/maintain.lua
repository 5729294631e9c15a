-- maintain: drop finished jobs that are past their time or too many, and what dead workers left.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] at most this many jobs of each state
-- ARGV[2] at most this many failed, and canceled, jobs are kept
-- Returns how many jobs were dropped

local bad = open({ SUCCEEDED, FAILED, CANCELED, DRAINING, WAKE }, { STATS, HELD })
if bad then return bad end

local forgotten = {}
local held = call("HGETALL", HELD)
for i = 1, #held, 2 do
  local worker, memo = held[i]:match("^(.*)/%a+$"), held[i + 1]
  -- A claim is not repeated after an hour; a worker that still holds jobs keeps its notes.
  if worker and call("HEXISTS", HELD, worker) == 0 then
    if NOW - number(memo:match("^%S+ (%d+)"), 0) > 3600000 then
      forgotten[#forgotten + 1] = held[i]
    end
  end
end
local dropped = trim(tonumber(ARGV[1]), tonumber(ARGV[2]))
begin()
many("HDEL", HELD, forgotten)
call("ZREMRANGEBYSCORE", DRAINING, "-inf", NOW)
commit()
return dropped
