-- Gives the payment back: no lease, and the request's entry as the claim found it.
--
-- KEYS[1]  the payment (see payment_acquire.lua)
-- ARGV     1 token, 2 request ID, 3 TTL (ms), 4 stray (1 or 0): the request is known to belong to another payment, so
--          an entry in flight here, whoever made it, is a crashed claim's and goes
--
-- Returns  {what}
--   done        always: whatever the token does not own was left alone
local token, rid = ARGV[1], ARGV[2]
local held = redis.call('HMGET', KEYS[1], ':t', rid)
local kind, _, holder, prior = parse_entry(held[2])
if held[1] == token then
  redis.call('HDEL', KEYS[1], ':t', ':e')
end
if kind == 'i' and ARGV[4] == '1' then
  redis.call('HDEL', KEYS[1], rid)
elseif kind == 'i' and holder == token then
  if prior == '' then
    redis.call('HDEL', KEYS[1], rid)
  else
    redis.call('HSET', KEYS[1], rid, prior)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'done'}
