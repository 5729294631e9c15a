-- wait_many: return how jobs ended; where they have not, register a channel to be told on.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the end of the channel's name
-- ARGV[2] the number of this question, which comes back with a short end; or "": it shall not
-- ARGV[3] for each job: its key
-- Returns two values a job: 0 (missing), 1 (not yet, the channel is registered) or 2 (finished);
--   and what was kept of the result or failure

local bad = open({ WAKE }, {})
if bad then return bad end

local replies = {}
local seconds = math.floor(NOW / 1000)

-- Waiters ask again every few seconds; who has not for a minute is gone.
local function with_me(waiters)
  local kept = { string.format("%s:%.0f:%s", ARGV[1], seconds, ARGV[2]) }
  for one, waiter, asked in (waiters or ""):gmatch("((%w+):(%d+):?%d*)") do
    if waiter ~= ARGV[1] and seconds - tonumber(asked) < 60 then kept[#kept + 1] = one end
  end
  return table.concat(kept, " ")
end

begin()
for i = 3, #ARGV do
  local key, n = ARGV[i], #replies
  local fields = read(key, "s", "w", "r")
  local state = fields and fields[1]
  replies[n + 1], replies[n + 2] = 0, ""
  if state == "succeeded" or state == "failed" or state == "canceled" then
    local expires = try("ZSCORE", SETS[state], key)
    local there = type(expires) == "string" and tonumber(expires) > NOW
    local kept = there and fields[3] or try("GET", END .. key)
    if type(kept) == "string" then
      replies[n + 1], replies[n + 2] = 2, kept
    elseif there and state ~= "succeeded" then
      replies[n + 1] = 2
    end
  elseif state then
    call("HSET", JOB .. key, "w", with_me(fields[2]))
    replies[n + 1] = 1
  end
end
return replies
