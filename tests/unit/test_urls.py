"""URLs that can't be used are refused when settings are read, and no message holds any part of one."""

import pytest
import redis.connection

from didflow.urls import base_url, check_redis_url, shown_redis_url


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("https://api.wavix.com", "https://api.wavix.com"),
        ("https://API.wavix.com:443/", "https://api.wavix.com"),
        ("HTTP://127.0.0.1:80//", "http://127.0.0.1"),
        ("http://127.0.0.1:8788", "http://127.0.0.1:8788"),
        ("https://proxy.example.net/Wavix/", "https://proxy.example.net/Wavix"),
        ("http://[::1]:8788", "http://[::1]:8788"),
    ],
)
def test_a_base_url_has_one_form(text: str, form: str) -> None:
    assert base_url(text) == form
    assert base_url(form) == form


@pytest.mark.parametrize(
    "text",
    [
        *("http://h:abc", "http://[::1", "http://h\n", "http://h:99999", "http://h:0", "http://h:", "http://", "http:///v1", "https:/h"),
        *("api.wavix.com", "ftp://api.wavix.com", "//api.wavix.com", "", " ", "http://h h", "http://h\x00", "http://\u00e4.example"),
        *(
            "http://user:hunter2@h",
            "http://h?appid=hunter2",
            "http://h#hunter2",
            "http://h?",
            "http://-h",
            "http://h..x",
            "http://" + "x" * 300,
        ),
        *("http://[zz]", "http://]h[", "http://h:8a", "javascript:alert(1)", "http://h:\u0661"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(begins|holds|has|can't)") as refused:
        base_url(text)
    assert "hunter2" not in str(refused.value)


GOOD_REDIS = [
    "redis://127.0.0.1:6399/0",
    "redis://127.0.0.1",
    "redis://:p%23%3F%40ss@redis.example.net:6379/2",
    "rediss://user:pass@[::1]:6380?ssl_cert_reqs=none&db=3",
    "unix:///run/redis.sock",
    "unix://user:pass@/run/a%20b.sock?db=1",
    "redis://compose_name:6379?protocol=3&client_name=x",
]


@pytest.mark.parametrize("text", GOOD_REDIS)
def test_a_redis_url_that_is_taken_means_the_same_to_the_client(text: str) -> None:
    check_redis_url(text)
    pool = redis.ConnectionPool.from_url(text)
    pool.make_connection()
    shown = shown_redis_url(text)
    assert "pass" not in shown
    assert "p%23" not in shown


@pytest.mark.parametrize(
    "text",
    [
        *("redis://:hunter2#x@127.0.0.1:6399/0", "redis://:hunter2?x@127.0.0.1/0", "redis://:hunter2/x@127.0.0.1:6399/0"),
        *("redis://:hunter2 x@h", "redis://:hunter2\n@h", "redis://:h\u00e4hunter2@h", "redis://:hunter2@h:6399/0#"),
        *("redis://h:abc", "redis://h:99999", "redis://h:0", "redis://h:", "redis://:hunter2@:6379", "redis://", "redis:///0"),
        *(
            "redis://h/abc",
            "redis://h/0/1",
            "redis://h/-1",
            "redis://h/99999999999",
            "redis://h?foo=bar",
            "redis://h?db=x",
            "redis://h?db=",
        ),
        *(
            "redis://h?ssl_cert_reqs=none",
            "rediss://h?ssl_cert_reqs=maybe",
            "redis://h?protocol=9",
            "redis://h?hunter2",
            "redis://h?db=1&db=2",
        ),
        *("unix://", "unix:///", "unix://run/redis.sock", "http://h", "hunter2", "", "redis:h", "redis://[::1", "redis://h\\x"),
    ],
)
def test_a_redis_url_that_cannot_be_used_is_refused_and_never_printed(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(begins|holds|has|can't|needs|names)") as refused:
        check_redis_url(text)
    assert "hunter2" not in str(refused.value)
    assert shown_redis_url(text) == "********"
