-- Counts the open requests on a bucket's schedule.
--
-- KEYS[1]  the bucket's schedule (record_wait.lua)
--
-- Returns  {how many, when the first of them is due (ms), '0' where there is none}
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {int(redis.call('ZCARD', KEYS[1])), first[2] or '0'}
