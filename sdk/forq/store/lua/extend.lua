-- extend: renew the leases of jobs that a worker still holds, and note their progress.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the lease, ms
-- ARGV[2..4] for each job: key, token, progress ("" leaves it)
-- Returns two numbers a job: 1 when the lease was renewed, 1 when the job is to be canceled

local bad = open({ RUNNING, WAKE }, { STATS })
if bad then return bad end

local deadline, replies = NOW + tonumber(ARGV[1]), {}
begin()
for i = 2, #ARGV, 3 do
  local fields = read(ARGV[i], "s", "t", "k")
  local held = fields and fields[1] == "running" and fields[2] == ARGV[i + 1]
  if held then
    enter(RUNNING, deadline, ARGV[i])
    if ARGV[i + 2] ~= "" then call("HSET", JOB .. ARGV[i], "g", ARGV[i + 2]) end
  end
  replies[#replies + 1] = held and 1 or 0
  replies[#replies + 1] = held and fields[3] and 1 or 0
end
commit()
return replies
