"""Webhooks: events of both streams posted to URLs, signed, at least once and in order per job.

The process behind `didflow webhooks run`.
"""
