-- resume: give out jobs of this queue again, and wake a worker if there are any.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- Returns 0

local bad = open({ READY, SCHEDULED, WAKE }, {})
if bad then return bad end

begin()
call("HDEL", META, "paused")
paused = false
-- A due time ahead wakes too: whoever blocks has to learn until when.
if claimable() or call("ZCARD", SCHEDULED) > 0 then call("ZADD", WAKE, 0, "1") end
return 0
