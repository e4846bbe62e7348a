-- Takes request IDs off a bucket's schedule whose time has come, and puts them back for later: whoever takes them may die
-- before it has told anybody.
--
-- KEYS[1]  the bucket's schedule (record_wait.lua)
-- ARGV     1 most request IDs, 2 ms until they are due again
--
-- Returns  the request IDs, the longest due first
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), id)
end
return due
