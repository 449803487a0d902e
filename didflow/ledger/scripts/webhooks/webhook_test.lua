-- webhook_test: queue an event for one endpoint that is about nothing.
-- ARGV  id or name, event id, actor: who does it
-- Reply {endpoint's id, message} | {} = there is none
-- Twice: the second run finds the test.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/webhooks.lua"
local id, event = webhook_named(ARGV[1]), ARGV[2]
if not id then return {} end
local k = webhook_key(id)
local last, message = unpack(redis.call('HMGET', k, 'tested', 'test_message'))
if last == event then return {id, message} end
local kind = 'didflow.webhook.test.v1'
local name = redis.call('HGET', key('webhooks'), id)
local body = '{"specversion":"1.0","id":' .. json(event) .. ',"source":"didflow","type":"' .. kind .. '","subject":' .. json(name) .. ',"time":"'
  .. now_rfc3339() .. '","datacontenttype":"application/json","data":{"endpoint":' .. json(name) .. ',"actor":' .. json(ARGV[3]) .. '}}'
message = redis.call('XADD', key('webhooks', 'messages'), '*', 'id', event, 'type', kind, 'key', event, 'account', '', 'reference', '', 'body', body)
redis.call('HSET', k, 'tested', event, 'test_message', message)
queue_message(id, event, message)
note_decision('webhooks test', name, ARGV[3], event)
return {id, message}
