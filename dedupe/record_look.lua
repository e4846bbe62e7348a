-- Tells what is known of a request, without claiming it.
--
-- KEYS[1]  the record
-- KEYS[2]  the outcome's bytes
-- KEYS[3]  the command's message (record_wait.lua)
-- KEYS[4]  the bucket's schedule (record_wait.lua)
-- KEYS[#]  the bucket's epoch, the last of all
-- ARGV     1 request ID, 2 longest lease (ms), 3 announced (1 or 0): its outcome, if it has one, is published
--
-- Returns  {what, now (ms), ms until the lease ends, packed record, outcome's bytes or the command's message}
--   forgot      alone: as in record_claim.lua
--   absent      no record; it is crossed off the schedule
--   claimed     a token owns it for that many ms at most
--   waiting     with its message, where one is stored; where none is, it is crossed off the schedule, for nobody could
--               work on it
--   review      the same
--   settled     with the outcome's bytes; announced, it is crossed off the schedule
--   tombstone   the same, and the bytes have expired
--   version     the record is of a version this build does not know
if not epoch() then
  return {'forgot'}
end
local now = now_ms()

local function answer(what, raw, retry, text)
  return {what, int(now), int(retry or 0), raw, text or ''}
end

local raw = redis.call('GET', KEYS[1])
if not raw then
  redis.call('ZREM', KEYS[4], ARGV[1])
  return answer('absent', '')
end
local f = unpack_record(raw)
if f[VERSION] ~= FORMAT then
  return answer('version', raw)
end
if f[STATE] == SETTLED then
  if ARGV[3] == '1' then
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
  local outcome = redis.call('GET', KEYS[2])
  if outcome then
    return answer('settled', raw, 0, outcome)
  end
  return answer('tombstone', raw)
end
local message = redis.call('GET', KEYS[3]) or ''
if message == '' then
  redis.call('ZREM', KEYS[4], ARGV[1])
end
if f[STATE] == CLAIMED then
  return answer('claimed', raw, math.max(clamp(f[LEASE], now, tonumber(ARGV[2])) - now, 0), message)
elseif f[STATE] == REVIEW then
  return answer('review', raw, 0, message)
end
return answer('waiting', raw, 0, message)
