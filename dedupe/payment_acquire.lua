-- Takes the lease of a payment for one of its requests, enters the request as in flight, and adds up the others.
--
-- KEYS[1]  the payment: a hash of ':t' and ':e' (the lease's token and end, ms), ':d' (the one declined request, or
--          '*' for several) and one entry per request ID
-- KEYS[2]  the epoch of the payment's bucket
-- ARGV     1 token, 2 request ID, 3 lease (ms), 4 longest lease (ms), 5 TTL (ms), 6 minor units, 7 original minor
--          units (0: no cap), 8 mode: 'command', 'copy' (entered even above the cap, because a copy's claim is never
--          fresh), 'known' (as copy, and the record is known to be the token's: the lease is taken even for a request
--          that is settled here)
--
-- Returns  {what, ms until the lease ends, cap exceeded (1 or 0), others known (1 or 0)}
--   forgot      alone: as in record_claim.lua
--   acquired    the token holds the lease; the same token may ask again
--   busy        another token holds it for that many ms at most, be it for this very request: its record's half may be
--               on its way and be granted yet. Nothing was changed
--   settled     the request is entered as a success; its record most likely says so too, so the lease was not taken
if not epoch() then
  return {'forgot'}
end
local token, rid = ARGV[1], ARGV[2]
local lease, max, minor, original, mode = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6], tonumber(ARGV[7]), ARGV[8]
local now = now_ms()

local held = redis.call('HMGET', KEYS[1], ':t', ':e', rid, ':d')
local kind, entered, holder, _ = parse_entry(held[3])
if kind == 's' and mode ~= 'known' then
  return {'settled', '0', '0', '0'}
end
if held[1] and held[1] ~= token then
  local lease_end = clamp(held[2], now, max)
  if lease_end > now then
    if int(lease_end) ~= held[2] then
      redis.call('HSET', KEYS[1], ':e', int(lease_end))
    end
    return {'busy', int(lease_end - now), '0', '0'}
  end
end

local sum, others = tonumber(minor), '0'
if held[4] and held[4] ~= rid then
  others = '1'
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 1) ~= ':' and all[i] ~= rid then
    local _, amount = parse_entry(all[i + 1])
    sum = sum + tonumber(amount)
    others = '1'
  end
end
local exceeded = '0'
if original > 0 and sum > original then
  exceeded = '1'
end

if kind == 's' or (kind == 'i' and holder == token) then
  -- A success stays one; an entry of this very claim is already right.
elseif kind ~= '' or exceeded == '0' or mode ~= 'command' then
  local prior, amount = '', minor
  if kind ~= '' then
    -- The claim may be a rival's, with an amount of its own, and die before it hears so: the entry never shrinks.
    prior, amount = kind .. entered, larger(minor, entered)
  end
  redis.call('HSET', KEYS[1], rid, 'i' .. amount .. '|' .. token .. '|' .. prior)
end
redis.call('HSET', KEYS[1], ':t', token, ':e', int(now + lease))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'acquired', '0', exceeded, others}
