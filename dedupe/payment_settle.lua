-- Ends a request's place in its payment: the lease goes, the entry becomes a success or is crossed out as declined.
--
-- KEYS[1]  the payment (see payment_acquire.lua)
-- ARGV     1 token, 2 request ID, 3 TTL (ms), 4 minor units, 5 result: 's' success or 'd' declined,
--          6 mode: 'own' (a decline that counts only if the record half agrees: only what the token owns is
--          changed), 'known' (a verified success, or the record is known to be settled this way)
--
-- Returns  {what}
--   done        nothing is left to do
--   lapsed      a decline of mode own, and the lease had ended: somebody may be taking the request over at this
--               moment, or has been and gave it back. So the entry stays: another token's as it is, any other as
--               unknown, until the record is known to be settled; ask again as known then
local token, rid, result, mode = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
local held = redis.call('HMGET', KEYS[1], ':t', ':e', rid, ':d')
local own = held[1] == token
local kind, _, holder, prior = parse_entry(held[3])
local mine = kind == 'i' and holder == token

if own then
  redis.call('HDEL', KEYS[1], ':t', ':e')
end
local what = 'done'
if result == 's' then
  redis.call('HSET', KEYS[1], rid, 's' .. ARGV[4])
elseif kind == '' or kind == 's' then
  -- Nothing was entered, or a verified success stands: money that has moved is never crossed out.
elseif mode == 'own' and not (mine and own and tonumber(held[2]) > now_ms()) then
  if mine or holder == '' then
    redis.call('HSET', KEYS[1], rid, 'u' .. ARGV[4])
  end
  what = 'lapsed'
else
  redis.call('HDEL', KEYS[1], rid)
  if mode == 'own' or not mine or prior ~= '' then
    -- One field for all declined requests, or a payment would grow with every refusal.
    local declined = rid
    if held[4] and held[4] ~= rid then
      declined = '*'
    end
    redis.call('HSET', KEYS[1], ':d', declined)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {what}
