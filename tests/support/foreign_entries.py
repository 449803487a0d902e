"""Entries of a stream that others wrote."""

#: What is no event of didflow.
FOREIGN: tuple[dict[str, str], ...] = (
    {"hello": "world"},
    {"id": "", "type": "", "subject": "", "data": ""},
    {"id": "x:1", "type": "com.example.other", "subject": "x", "data": "{}"},
    {"id": "x:1", "type": "didflow.job.queued.v1", "subject": "x", "data": "no JSON"},
)
