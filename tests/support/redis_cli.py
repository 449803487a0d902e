"""Stands in for `redis-cli` where none is installed: sends one command to DIDFLOW_REDIS_URL and prints the reply, an item a line."""

import os
import sys

import redis


def lines(reply: object) -> list[str]:
    if isinstance(reply, dict):
        return [line for pair in reply.items() for item in pair for line in lines(item)]
    if isinstance(reply, list | tuple):
        return [line for item in reply for line in lines(item)]
    return [str(reply)]


def main() -> None:
    client = redis.Redis.from_url(os.environ["DIDFLOW_REDIS_URL"], decode_responses=True)
    try:
        reply: object = client.execute_command(*sys.argv[1:])  # type: ignore[no-untyped-call]
    except redis.ResponseError as error:
        reply = f"(error) {error}"
    sys.stdout.write("\n".join(lines(reply)) + "\n")


if __name__ == "__main__":
    main()
