-- pause: give out no more jobs of this queue.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- Returns 0

local bad = open({ WAKE }, {})
if bad then return bad end

begin()
call("HSET", META, "paused", "1")
call("ZREM", WAKE, "1")
return 0
