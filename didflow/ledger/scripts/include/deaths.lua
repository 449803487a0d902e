-- The deaths of workers that ran the job: an array of DEATH records. `alone`: the process ran nothing else.
-- A worker that showed a sign of life after its lease ended only stalled, or had no connection to this server: that is no death.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local SUSPECT = 2  -- deaths after which a job runs alone, so that the next one shows whether it is the job that kills
local DEATH = {'alone', 'boolean', 'lease_ended_ms', 'number', 'worker', 'string'}

-- The process of a claimant; claimants of worker processes end in a part of their own.
local function worker_of(claimant) return string.match(claimant or '', '^(.*):[^:]*$') or claimant or '' end

local function is_death(found)
  if not is_record(DEATH, found) then return false end
  local seen = redis.call('ZSCORE', key('workers'), found.worker)
  return not (seen and tonumber(seen) > found.lease_ended_ms)
end

-- `text`: the job's deaths as its hash has them; `newest`: one more, or nil. Returns the text of those that were real, how many there are, and
-- how many of them count: those in which the job ran alone.
local function true_deaths(text, newest)
  local read, deaths = pcall(cjson.decode, text ~= '' and text or '[]')
  if not read or type(deaths) ~= 'table' then deaths = {} end
  deaths[#deaths + 1] = newest
  local kept, alone_count = {}, 0
  for _, death in ipairs(deaths) do
    if is_death(death) then
      kept[#kept + 1] = record_text(DEATH, death)
      if death.alone then alone_count = alone_count + 1 end
    end
  end
  return #kept > 0 and '[' .. table.concat(kept, ',') .. ']' or '', #kept, alone_count
end
