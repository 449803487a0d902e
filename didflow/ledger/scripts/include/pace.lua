-- The part of the configured rate that is in force: halved by a 429, and creeping up since, by `creep` of the whole a second.
local function pace(fraction, cut_us, creep, now)
  return math.min(1, (tonumber(fraction or '') or 1) + math.max(0, now - (tonumber(cut_us or '') or 0)) / 1000000 * creep)
end
