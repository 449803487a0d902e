-- catalogue_ask: read a look that the catalogue keeps, or submit the job that makes one, unless such a job is under way.
-- ARGV  account, question, max_age_ms (-1: only a new look will do), submit ('0': only read), and of the job:
--       id, v, kind, request, fingerprint, lane, priority, renudge_ms, actor
-- Reply {'kept', '', look (text), began_ms of that look, now_ms}
--       {'under_way' | 'new', job that makes one, '', began_ms of the look that is kept ('': there is none), now_ms}
--       {'missing', '', '', began_ms, now_ms}  with submit '0'
-- Twice: the second run finds the job of the first.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/new_job.lua"
--- @include "include/states.lua"
local account, question, max_age_ms, submit, id = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local MOST_JOBS = 10000      -- entries of jobs that ended without a look stay until their question is asked again
local JOBS_KEPT_MS = 2592000000
local now = now_ms()
local began = redis.call('ZSCORE', key('catalogue', 'began', account), question)
if began and max_age_ms >= 0 and now - tonumber(began) <= max_age_ms then
  local text = redis.call('HGET', key('catalogue', 'looks', account), question)
  if text then return {'kept', '', text, int(tonumber(began)), int(now)} end
end

local newest = began and int(tonumber(began)) or ''
local jobs = key('catalogue', 'jobs', account)
local known = redis.call('HGET', jobs, question)
if known then
  local state = redis.call('HGET', job_key(known), 'state')
  if state and not OVER[state] and state ~= 'needs_review' then return {known == id and 'new' or 'under_way', known, '', newest, int(now)} end
end
if submit == '0' then return {'missing', '', '', newest, int(now)} end
create_job(id, ARGV[6], ARGV[7], ARGV[8], ARGV[9], '', '', account, ARGV[10], ARGV[11], 0, tonumber(ARGV[12]), '', ARGV[13], '', '')
if redis.call('HLEN', jobs) >= MOST_JOBS then redis.call('DEL', jobs) end
redis.call('HSET', jobs, question, id)
redis.call('PEXPIRE', jobs, JOBS_KEPT_MS)
return {'new', id, '', newest, int(now)}
