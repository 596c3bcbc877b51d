-- What replicas tell each other of offers that rest: takes in what one of them found, and answers what all know.
--
-- KEYS: the one text, of a row for each offer (see lines.rs): id, when it was told, until when it rests, openings,
-- why, who told it, whose probe it is, until when. Times are milliseconds since 1970 of this server.
-- ARGV: who tells; how long a turn lasts; the longest rest; then for each finding: word, id, milliseconds of rest,
-- openings. The words are those of a row, and `probing` of who makes a probe and wants to be left its turn.
-- Answers the present millisecond and the text, with a row `?` at its end where rows were wrong.

-- How long an offer that nobody tried since its rest is known to have been out.
local REMEMBERED = 600000
-- How long a recovery is told.
local WELL = 60000
local ROWS_MAX, BYTES_MAX, OPENINGS_MAX = 1024, 262144, 16

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, turn, rest_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function ends(row)
  return row.rest + (row.openings > 0 and REMEMBERED or 0)
end

local kept = redis.pcall('GET', KEYS[1]) or ''
local rows, ids, wrong, changed = {}, {}, false, false
if type(kept) ~= 'string' or #kept > BYTES_MAX then
  kept, wrong = '', true
end
for text in string.gmatch(kept, '[^\n]+') do
  local id, at, rest, openings, why, teller, prober, till =
    string.match(text, '^(%x+) (%d+) (%d+) (%d+) (%l+) (%x+) (%x+) (%d+)$')
  local row = id and #text <= 160 and #id == 32 and not rows[id] and {
    at = tonumber(at), rest = tonumber(rest), openings = tonumber(openings), why = why, teller = teller,
    prober = prober, till = tonumber(till),
  }
  -- What lies further ahead was not told by the present clock.
  if row and row.at <= now + rest_max and row.rest <= now + rest_max and row.openings <= OPENINGS_MAX
    and row.till <= math.max(now, row.rest) + turn then
    if ends(row) > now then
      rows[id] = row
      ids[#ids + 1] = id
    end
  else
    wrong = true
  end
end

for n = 4, #ARGV, 4 do
  local word, id, rest, openings = ARGV[n], ARGV[n + 1], now + tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3])
  local row = rows[id]
  if word == 'probing' then
    if row and row.openings > 0 and (row.prober == me or row.till < now) then
      row.prober, row.till, changed = me, math.max(now, row.rest) + turn, true
    end
  elseif row or #ids < ROWS_MAX then
    if not row then
      ids[#ids + 1] = id
    end
    local at = math.max(now, row and row.at + 1 or 0)
    if word == 'well' and row and row.why == 'asked' and row.rest > now then
      -- The breaker is closed; what the provider asked for stands.
      word, rest, openings = 'asked', row.rest, 0
    elseif word == 'well' then
      rest, openings = now + WELL, 0
    elseif row and row.why ~= 'well' then
      rest, openings = math.max(rest, row.rest), math.max(openings, row.openings)
    end
    rows[id] =
      { at = at, rest = rest, openings = openings, why = word, teller = me, prober = me, till = rest + turn }
    changed = true
  end
end

if changed then
  local texts, longest = {}, 1
  for n, id in ipairs(ids) do
    local row = rows[id]
    longest = math.max(longest, ends(row) - now)
    texts[n] = string.format('%s %.0f %.0f %.0f %s %s %s %.0f', id, row.at, row.rest, row.openings, row.why,
      row.teller, row.prober, row.till)
  end
  kept = table.concat(texts, '\n')
  redis.call('SET', KEYS[1], kept, 'PX', longest)
  if wrong then
    kept = kept .. '\n?'
  end
elseif wrong then
  kept = kept .. '\n?'
end
return { now, kept }
