-- drain: mark workers that may claim no more; the mark expires by itself.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] how long the mark holds, ms
-- ARGV[2] for each worker: its id
-- Returns 0

local bad = open({ DRAINING, WAKE }, { STATS })
if bad then return bad end

begin()
for i = 2, #ARGV do enter(DRAINING, NOW + tonumber(ARGV[1]), ARGV[i]) end
commit()
return 0
