-- held: return how many jobs each worker holds.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- Returns for each worker that holds any: its id, how many

local bad = open({}, { HELD })
if bad then return bad end

local reply = {}
local held = call("HGETALL", HELD)
for i = 1, #held, 2 do
  if not held[i]:find("/%a+$") then
    reply[#reply + 1] = held[i]
    reply[#reply + 1] = number(held[i + 1], 0)
  end
end
return reply
