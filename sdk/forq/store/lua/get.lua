-- get: return all there is about one job.
--
-- KEYS[1] the queue's prefix
-- KEYS[2] the queue's meta
-- ARGV[1] the job's key
-- Returns {1, score in its state's set, body, end, the hash's fields and values, the tries}; {0}
--   when there is no such job; {-1} when it cannot be read

local key = ARGV[1]
local fields = try("HGETALL", JOB .. key)
local set, tiny
if not refused(fields) then
  for i = 1, #fields, 2 do
    if fields[i] == "s" then set = SETS[fields[i + 1]] end
    if fields[i] == "r" then tiny = fields[i + 1] end
  end
  if #fields == 0 then return { try("ZSCORE", CORRUPT, key) and -1 or 0 } end
end
if not set then return { -1 } end
local score = try("ZSCORE", set, key)
if type(score) ~= "string" then return { -1 } end
if (set == SUCCEEDED or set == FAILED or set == CANCELED) and tonumber(score) <= NOW then
  return { 0 }
end
local function text(reply)
  return type(reply) == "string" and reply or ""
end
local tries = try("LRANGE", TRIES .. key, 0, -1)
return {
  1, score, text(try("GET", BODY .. key)), tiny or text(try("GET", END .. key)), fields,
  refused(tries) and {} or tries,
}
