-- Renews a lock or gives it back.
--
-- KEYS[1]  the lock
-- ARGV     1 token, 2 TTL (ms), 0 to give it back
--
-- Returns  {what}
--   done        it is renewed, or free
--   lost        the token does not hold it
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'lost'}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {'done'}
