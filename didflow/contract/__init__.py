"""What others build on: requests, results, events, states, errors. Pure pydantic; imports nothing of ours."""
