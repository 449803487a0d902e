"""The HTTP API: every verb of `AsyncDidflow` over HTTP, for systems that aren't written in Python. It adds no rule of its own.

One ASGI application (`application`), a router a file. Needs the extra `http`: `pip install didflow[http]`.
"""
