-- Does once what the other scripts do, on keys of its own, and leaves nothing behind: a right that is missing and a
-- server that takes no writes show here, before a refund is begun.
--
-- KEYS[1]  a string, as the records are
-- KEYS[2]  a hash, as the payments are
-- KEYS[3]  a sorted set, as the schedules are
-- ARGV     1 TTL (ms), for a key that may not be deleted
--
-- Returns  {command, error, command, error, ...} of the commands that were refused
local refused = {}

local function try(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1], refused[#refused + 2] = command, reply.err
  end
end

try('TIME')
try('SET', KEYS[1], '1', 'PX', ARGV[1])
try('GET', KEYS[1])
try('DEL', KEYS[1])
try('HSET', KEYS[2], 'f', '1')
try('PEXPIRE', KEYS[2], ARGV[1])
try('HMGET', KEYS[2], 'f')
try('HGETALL', KEYS[2])
try('HDEL', KEYS[2], 'f')
try('ZADD', KEYS[3], '1', 'f')
try('ZCARD', KEYS[3])
try('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
try('ZRANGEBYSCORE', KEYS[3], '-inf', '0')
try('ZREM', KEYS[3], 'f')
return refused
