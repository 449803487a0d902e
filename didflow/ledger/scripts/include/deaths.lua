-- The deaths of workers that ran the job, one a line: alone|when its lease ended, ms|worker. `alone` is '1' where the process ran nothing else.
-- A worker that showed a sign of life after that only stalled, or lost touch with this server: that is no death.
--- @include "include/keys.lua"
local SUSPECT = 2  -- deaths after which a job runs alone, so that the next one shows whether it is the job that kills

-- The process of a claimant; claimants of worker processes end in a part of their own.
local function worker_of(claimant) return string.match(claimant or '', '^(.*):[^:]*$') or claimant or '' end

local function died(alone, lease_ends_ms, claimant)
  return (alone == '1' and '1' or '0') .. '|' .. int(lease_ends_ms) .. '|' .. worker_of(claimant) .. '\n'
end

-- Returns what is left of `deaths`, how many there are, and how many of them count: those in which the job ran alone.
local function true_deaths(deaths)
  local kept, all, alone_count = '', 0, 0
  for line in string.gmatch(deaths or '', '[^\n]+') do
    local alone, ended, worker = string.match(line, '^([01])|(%d+)|(.*)$')
    local seen = worker and redis.call('ZSCORE', key('workers'), worker)
    if worker and not (seen and tonumber(seen) > tonumber(ended)) then
      kept, all = kept .. line .. '\n', all + 1
      if alone == '1' then alone_count = alone_count + 1 end
    end
  end
  return kept, all, alone_count
end
