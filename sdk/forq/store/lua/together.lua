-- together: carry out transitions of several queues, one after the other; never on Cluster.
--
-- Each stands before this text as a function in `transitions`, with a prelude of its own: scripts.py
-- puts them there. What fails for one queue stops none of the others.
--
-- KEYS[1..2] for each transition: its queue's prefix, its queue's meta
-- ARGV[1..2] for each transition: its name, how many arguments it has; they follow
-- Returns for each transition: what it returns, or its error; one error when no transition ran

local function arguments(from, n)
  local found = {}
  for i = 1, n do found[i] = ARGV[from + i - 1] end
  return found
end

local replies, failures, at = {}, 0, 1
for i = 1, #KEYS, 2 do
  local name, n = ARGV[at], tonumber(ARGV[at + 1])
  local ran, reply = pcall(transitions[name], { KEYS[i], KEYS[i + 1] }, arguments(at + 2, n))
  if not ran then
    failures = failures + 1
    -- Text before Redis 7, and for errors of our own.
    if type(reply) ~= "table" then reply = redis.error_reply(tostring(reply)) end
  end
  replies[#replies + 1] = reply
  at = at + 2 + n
end
-- Such an answer is about the server, a replica for one: whoever routes commands is to see it.
if failures == #replies then return replies[1] end
return replies
