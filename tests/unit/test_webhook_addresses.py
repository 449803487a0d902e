"""Which addresses a delivery may go to, and which URLs an endpoint may have."""

from ipaddress import ip_address, ip_network

import pytest

from didflow.client.webhook_addresses import Reach, reach_of
from didflow.client.webhook_url import check_url, parse
from didflow.contract.errors import InvalidRequest

INSIDE = (ip_network("10.20.0.0/16"), ip_network("127.0.0.0/8"), ip_network("fd00:1::/32"))
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))

PUBLIC = ["93.184.216.34", "8.8.8.8", "192.0.1.1", "2606:2800:220:1::1", "2a00:1450::1", "64:ff9b::808:808"]
PRIVATE = [
    "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "::1", "fc00::1", "fdff::1", "fec0::1", "100::1", "5f00::1", "4000::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:db8::1", "3fff::1", "2002:7f00:1::1", "2002:808:808::1",
    "::7f00:1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.1.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "100.100.100.200", "168.63.129.16", "::", "fe80::1", "ff02::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a00:1",
    "fd00:ec2::254", "fd20:ce::254", "64:ff9b::a9fe:a9fe",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_used(address: str) -> None:
    assert reach_of(ip_address(address), ()) is Reach.PUBLIC


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_unless_its_network_is_named(address: str) -> None:
    assert reach_of(ip_address(address), ()) is Reach.REFUSED
    assert reach_of(ip_address(address), EVERYTHING) is Reach.NAMED


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_refused_whatever_is_named(address: str) -> None:
    assert reach_of(ip_address(address), EVERYTHING) is Reach.REFUSED


def test_only_the_named_network_is_allowed() -> None:
    assert reach_of(ip_address("10.20.1.1"), INSIDE) is Reach.NAMED
    assert reach_of(ip_address("10.21.1.1"), INSIDE) is Reach.REFUSED
    assert reach_of(ip_address("fd00:1::7"), INSIDE) is Reach.NAMED
    assert reach_of(ip_address("fd00:2::7"), INSIDE) is Reach.REFUSED


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://hooks.example.com", "hooks.example.com", "/"),
        ("https://hooks.example.com/a/b?token=x&y", "hooks.example.com", "/a/b?token=x&y"),
        ("HTTPS://Hooks.Example.COM:443/A", "hooks.example.com", "/A"),
        ("https://hooks.example.com:8443", "hooks.example.com:8443", "/"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/"),
        ("https://93.184.216.34/x", "93.184.216.34", "/x"),
        ("https://[2606:2800:220:1::1]:8443/x", "[2606:2800:220:1::1]:8443", "/x"),
    ],
)
def test_a_public_https_url_is_taken(url: str, authority: str, target: str) -> None:
    found = parse(url, ())
    assert (found.authority, found.target) == (authority, target)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd", "gopher://hooks.example.com/",
        "https:hooks.example.com", "https:/hooks.example.com", "//hooks.example.com", "hooks.example.com", "", "https://",
        "https:///x", "https://?x", "javascript:alert(1)", "https://user@hooks.example.com/", "https://user:word@hooks.example.com/",
        "https://@hooks.example.com/", "https://hooks.example.com@127.0.0.1/", "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#x", "https://hooks.example.com/#", "https://hooks.example.com:/", "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/", "https://hooks.example.com:443x/", "https://hooks.example.com:-1/",
        "https://hooks.example.com:22/", "https://hooks.example.com:80/", "https://hooks.example.com:25/",
        "https://hooks.example.com./", "https://hooks..example.com/", "https://-a.example.com/", "https://hooks.example.com /",
        " https://hooks.example.com/", "https://hooks.example.com/a b", "https://hooks.example.com/\r\nX: y",
        "https://hooks.example.com/\x00", "https://hooks.example.com\t/", "https://bücher.example/", "https://１２７.０.０.１/",
        "https://ⓛocalhost/", "https://hooks。example。com/", "https://127.0.0.1/", "https://10.0.0.1/",
        "https://169.254.169.254/latest/", "https://0.0.0.0/", "https://0/", "https://2130706433/", "https://0x7f000001/",
        "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/", "https://127.0.1/", "https://1.1.1.1.1/",
        "https://93.184.216.034/", "https://93.184.216.34./", "https://0x/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:93.184.216.34]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/", "https://[2606::1]x.example.com/", "https://[2606::1/", "https://2606::1/", "https://[v1.x]/",
        "https://[93.184.216.34]x/", "https://localhost/", "https://a.localhost/", "https://redis/", "https://printer.local/",
        "https://metadata.google.internal/", "https://router.home.arpa/", f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 130}example.com/", f"https://hooks.example.com/{'a' * 2000}",
    ],
)  # fmt: skip
def test_a_url_that_may_lead_inside_or_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, ())
    assert [fault.path for fault in refused.value.faults] == ["url"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9999/hook", "https://localhost/"])
def test_the_refusal_of_a_private_host_names_the_setting_that_allows_it(url: str) -> None:
    with pytest.raises(InvalidRequest, match="DIDFLOW_WEBHOOK_NETWORKS"):
        check_url(url, ())


@pytest.mark.parametrize(
    "url",
    [
        "http://10.20.0.7/x",
        "http://10.20.0.7:81/",
        "https://10.20.0.7/",
        "http://sink:8080/",
        "http://[fd00:1::7]/",
        "https://crm.internal:22/",
    ],
)
def test_named_networks_may_have_plain_http_any_port_and_inner_names(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, ())
    check_url(url, INSIDE)


@pytest.mark.parametrize("url", ["http://10.21.0.7/", "http://93.184.216.34/", "https://93.184.216.34:22/", "http://169.254.169.254/"])
def test_named_networks_open_nothing_beside_them(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, INSIDE)


def test_a_refusal_repeats_nothing_of_the_url() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url("https://hooks.example.com:22/?token=hunter2", ())
    assert "hunter2" not in str(refused.value)
