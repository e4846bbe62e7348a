-- Claims a request ID under a token and a lease, or says why not.
--
-- KEYS[1]  the record
-- KEYS[2]  the outcome's bytes
-- KEYS[#]  the bucket's epoch, the last of all
-- ARGV     1 token, 2 lease (ms), 3 longest lease (ms), 4 record TTL (ms), 5 hop, 6 kind ('0' command, '1' copy,
--          's' signal: it is granted whatever hop the record waits for, and in a review
--          that is not contradicted), 7 attempt,
--          8 first seen (ms, 0 unknown), 9 via, 10 account, 11 gateway key, 12 payment digest, 13 most takeovers,
--          14... fingerprint version and digest, in pairs, newest first
--
-- Returns  {what, now (ms), ms until the lease ends, packed record, outcome's bytes, epoch began, may have forgotten since}
--   forgot      alone: the bucket has no epoch, or one of another server, and nothing was changed
--   granted     the token owns the record; the same token gets the same answer again, and its lease anew
--   busy        another token owns it for that many ms at most
--   waiting     it waits for a later hop than the message's
--   here        as waiting, and the message must write its retry copy again: it put the record there, or is no copy
--   review      only evidence closes it
--   settled     with the outcome's bytes
--   tombstone   settled, bytes expired
--   conflict    known with another fingerprint
--   version     the record, or its fingerprint, is of a version this build does not know
local token, lease, max, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local hop, kind, attempt, first, via = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local signal = kind == 's'
local now = now_ms()
local began, since = epoch()
if not began then
  return {'forgot'}
end

local function answer(what, raw, retry, outcome)
  return {what, int(now), int(retry or 0), raw, outcome or '', began, since}
end

local function store(f)
  local raw = pack_record(f)
  redis.call('SET', KEYS[1], raw, 'PX', ttl)
  return raw
end

local raw = redis.call('GET', KEYS[1])
if not raw then
  if tonumber(first) == 0 then
    first = int(now)
  end
  -- A copy without a record: the record was lost after something may have been sent, so it is adopted as such.
  local maybe = '1'
  if kind == '0' then
    maybe = '0'
  end
  return answer('granted', store({
    FORMAT, CLAIMED, ARGV[14], ARGV[15], ARGV[12],
    token, int(now + lease), int(hop), attempt, maybe, '0',
    ARGV[10], ARGV[11], '', first, '', '0', '', '0', prev = '',
  }))
end

local f = unpack_record(raw)
if f[VERSION] ~= FORMAT then
  return answer('version', raw)
end
local compared = compare_fingerprint(f, 14, ARGV[12])
if compared == 'unknown' then
  return answer('version', raw)
elseif compared == 'other' then
  return answer('conflict', raw)
end

if f[STATE] == SETTLED then
  local outcome = redis.call('GET', KEYS[2])
  if outcome then
    return answer('settled', raw, 0, outcome)
  end
  return answer('tombstone', raw)
elseif f[STATE] == REVIEW then
  if not signal or f[MAYBE] == '2' then
    return answer('review', raw)
  end
  f.prev = raw
elseif f[STATE] == WAITING then
  if hop < tonumber(f[HOP]) and not signal then
    if kind == '0' or via == f[VIA] or f[VIA] == '' then
      -- A record that was restored does not know which message put it there, so each may write its copy.
      return answer('here', raw)
    end
    return answer('waiting', raw)
  end
  f.prev = raw
  if hop > tonumber(f[HOP]) then
    -- The copy knows more than the record: the store lost later states of it, and a pass may have sent.
    mark_sent(f, '0')
    f[ATTEMPT] = larger(f[ATTEMPT], attempt)
  end
elseif f[TOKEN] == token then
  f[LEASE] = int(now + lease)
  return answer('granted', store(f))
else
  local lease_end = clamp(f[LEASE], now, max)
  if lease_end > now then
    if int(lease_end) ~= f[LEASE] then
      -- Written back, or the clamp would move along with the clock and the lease would never end.
      f[LEASE] = int(lease_end)
      raw = store(f)
    end
    return answer('busy', raw, lease_end - now)
  end
  f[TAKEOVERS] = int(tonumber(f[TAKEOVERS]) + 1)
  mark_sent(f, int(now))
  -- The lapsed pass may have reached the gateway, so it counts as an attempt.
  f[ATTEMPT] = larger(int(tonumber(f[ATTEMPT]) + 1), attempt)
  if tonumber(f[TAKEOVERS]) > tonumber(ARGV[13]) then
    f[STATE], f[LEASE], f[CODE], f[DUE], f.prev = REVIEW, '0', 'NEEDS_REVIEW', '0', ''
    return answer('review', store(f))
  end
  f.prev = raw
end

f[STATE], f[TOKEN], f[LEASE] = CLAIMED, token, int(now + lease)
f[HOP] = larger(f[HOP], int(hop))
f[FIRST] = earlier(f[FIRST], first)
return answer('granted', store(f))
