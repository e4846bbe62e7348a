-- Helpers in front of every script of this package; the loader joins the two texts.
--
-- A record is one string of fields, each followed by '|'. The Go side escapes '|' and '%' in every text field, so a
-- field never holds a separator and the scripts never unescape. Unsettled records have all 19 fields, and a claimed
-- one carries behind them the whole packed record that was there before the claim, so that giving the claim back
-- restores it byte for byte. Settled records keep only what a repeat must be told for as long as the tombstone lives,
-- in as few bytes as will do: Redis keeps a string of up to 44 in one piece with its object.
--
-- All numbers are whole and below 2^53 where exactness matters: times are milliseconds since the epoch, amounts have
-- at most 15 digits, and a sum of amounts that leaves the exact range is far above any cap it is compared with.

local FORMAT = '1'
local CLAIMED, WAITING, REVIEW, SETTLED = 'c', 'w', 'r', 's'

-- Fields of every record.
local VERSION, STATE, FPV, FP, PAY = 1, 2, 3, 4, 5
-- Fields of an unsettled record.
local TOKEN, LEASE, HOP, ATTEMPT, MAYBE, TAKEOVERS = 6, 7, 8, 9, 10, 11
local ACCOUNT, GWKEY, REFUND, FIRST, CODE, DUE, VIA, SENT, FIELDS = 12, 13, 14, 15, 16, 17, 18, 19, 19
-- A settled record has behind the first five, as only the Go side reads them: 's' or 'f' for success or failed, the code
-- where it is not the plain one of a success, and first seen to the base of 36.

local function int(n)
  return string.format('%.0f', n)
end

local function base36(n)
  local digits, text = '0123456789abcdefghijklmnopqrstuvwxyz', ''
  n = tonumber(n)
  repeat
    local digit = n % 36
    text = string.sub(digits, digit + 1, digit + 1) .. text
    n = (n - digit) / 36
  until n == 0
  return text
end

-- A settled record: status, code and first seen (ms) as it is packed.
local function pack_settled(f, status, code, first)
  return table.concat({FORMAT, SETTLED, f[FPV], f[FP], f[PAY], status, code, base36(first)}, '|') .. '|'
end

-- The server's clock in whole milliseconds.
local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function unpack_record(raw)
  local f, from = {prev = ''}, 1
  for i = 1, FIELDS do
    local at = string.find(raw, '|', from, true)
    if not at then
      return f
    end
    f[i] = string.sub(raw, from, at - 1)
    from = at + 1
  end
  f.prev = string.sub(raw, from)
  return f
end

local function pack_record(f)
  return table.concat(f, '|') .. '|' .. f.prev
end

-- What stands for the fingerprint's version in a record that was restored from an event which did not carry one.
local NO_FINGERPRINT = '0'

-- Compares a record with the fingerprints in ARGV from position from on (version, digest, version, digest, ...):
-- 'same', 'other', or 'unknown' when none is of the version the record was stored in. Where the record has none, the
-- payment's digest has to do.
local function compare_fingerprint(f, from, payment)
  if f[FPV] == NO_FINGERPRINT then
    if f[PAY] == payment then
      return 'same'
    end
    return 'other'
  end
  for i = from, #ARGV, 2 do
    if ARGV[i] == f[FPV] then
      if ARGV[i + 1] == f[FP] then
        return 'same'
      end
      return 'other'
    end
  end
  return 'unknown'
end

-- The smaller of two first-seen times; 0 means not known.
local function earlier(a, b)
  a, b = tonumber(a), tonumber(b)
  if a == 0 or (b > 0 and b < a) then
    return int(b)
  end
  return int(a)
end

-- Sets the mark that something may have been sent, and since when (ms, '0': not known, so first seen has to do). The mark
-- is '0', '1', or '2' for a request whose evidence contradicts itself, and never goes down.
local function mark_sent(f, since)
  if f[MAYBE] == '0' then
    f[MAYBE], f[SENT] = '1', since
  end
end

local function larger(a, b)
  return int(math.max(tonumber(a), tonumber(b)))
end

-- A lease never counts for longer than max from now: a clock that jumped back must not prolong it.
local function clamp(lease_end, now, max)
  return math.min(tonumber(lease_end), now + max)
end

-- An entry of a payment's record: kind, minor units, token, prior. Kinds: 'i' in flight, 'u' unknown, 's' settled as
-- success. Only entries in flight have a token, and a prior: the entry that the claim found, without its own token.
local function parse_entry(entry)
  if not entry then
    return '', '0', '', ''
  end
  local kind, minor, token, prior = string.match(entry, '^(%a)(%d+)|?([^|]*)|?(.*)$')
  return kind, minor, token, prior
end

-- The server's replication ID, which changes with every restart and every promotion; '' where INFO is not served.
local function server_id()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then
    return ''
  end
  return string.match(info, 'master_replid:(%x+)') or ''
end

-- When the epoch of the bucket began and since when it may have forgotten something, both in ms, and '0' and '0' for a
-- first epoch; nothing when the bucket has forgotten. The epoch's key is always the last of KEYS; epoch.go says what it
-- holds. Its ID is looked for in what the server says, which costs less than to read the server's out of it.
local function epoch()
  local raw = redis.call('GET', KEYS[#KEYS])
  if not raw then
    return nil
  end
  local id, began, since, first = string.match(raw, '^e (%S+) (%d+) (%d+) ([01])$')
  if not id then
    return nil
  end
  local info = redis.pcall('INFO', 'replication')
  if type(info) == 'string' and string.find(info, 'master_replid:', 1, true) and
    not string.find(info, 'master_replid:' .. id .. '\r', 1, true) then
    return nil
  elseif first == '1' then
    return '0', '0'
  end
  return began, since
end
