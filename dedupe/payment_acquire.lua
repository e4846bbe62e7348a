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

local held, sum, others = {}, tonumber(minor), '0'
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local name = all[i]
  if name == rid or string.sub(name, 1, 1) == ':' then
    held[name] = all[i + 1]
  else
    local _, amount = parse_entry(all[i + 1])
    sum = sum + tonumber(amount)
    others = '1'
  end
end
local kind, entered, holder, _ = parse_entry(held[rid])
if kind == 's' and mode ~= 'known' then
  return {'settled', '0', '0', '0'}
end
if held[':t'] and held[':t'] ~= token then
  local lease_end = clamp(held[':e'], now, max)
  if lease_end > now then
    if int(lease_end) ~= held[':e'] then
      redis.call('HSET', KEYS[1], ':e', int(lease_end))
    end
    return {'busy', int(lease_end - now), '0', '0'}
  end
end
if held[':d'] and held[':d'] ~= rid then
  others = '1'
end
local exceeded = '0'
if original > 0 and sum > original then
  exceeded = '1'
end

-- A success stays one, and an entry of this very claim is already right.
local right = kind == 's' or (kind == 'i' and holder == token)
if not right and (kind ~= '' or exceeded == '0' or mode ~= 'command') then
  local prior, amount = '', minor
  if kind ~= '' then
    -- The claim may be a rival's, with an amount of its own, and die before it hears so: the entry never shrinks.
    prior, amount = kind .. entered, larger(minor, entered)
  end
  redis.call('HSET', KEYS[1], rid, 'i' .. amount .. '|' .. token .. '|' .. prior, ':t', token, ':e', int(now + lease))
else
  redis.call('HSET', KEYS[1], ':t', token, ':e', int(now + lease))
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'acquired', '0', exceeded, others}
