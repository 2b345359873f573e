"""Addresses to which nothing may be sent."""

from ipaddress import ip_network

import pytest

from service.webhooks.addresses import AddressRefused, checked_addresses, parse_url, refusal

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.attack
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",  # carrier-grade NAT
        "169.254.169.254",  # cloud metadata
        "192.0.0.192",  # Oracle Cloud's metadata
        "168.63.129.16",  # Azure's
        "100.100.100.200",  # Alibaba's
        "fd20:ce::254",  # Google's, in IPv6
        "192.0.0.9",  # anycast of protocols, globally reachable
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.175.48.1",
        "203.0.113.1",
        "::ffff:168.63.129.16",
        "64:ff9b::808:808",
        "2001:1::1",
        "2001:20::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "192.0.2.1",  # documentation
        "198.18.0.1",  # benchmarks
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",  # NAT64
        "2002:7f00:1::",  # 6to4
        "2001:0:7f00:1::",  # Teredo
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",  # also cloud metadata
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert refusal(address, ()) is not None


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_not(address: str) -> None:
    assert refusal(address, ()) is None


@pytest.mark.attack
def test_an_allowed_network_allows_itself_only() -> None:
    assert refusal("127.0.0.2", LOOPBACK) is None
    assert refusal("::ffff:127.0.0.1", LOOPBACK) is None
    assert refusal("10.0.0.1", LOOPBACK) is not None
    assert refusal("169.254.169.254", LOOPBACK) is not None


@pytest.mark.attack
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "must begin with https"),
        ("file:///etc/passwd", "must begin with https"),
        ("https://", "names no host"),
        ("https://user:word@example.org/", "user name or password"),
        ("https://example.org/#part", "fragment"),
        ("https://example.org:0/", "is not a URL that can be sent to"),
        ("https://example.org:99999/", "is not a URL"),
        ("https://example.org/a b", "is not a URL that can be sent to"),
        ("https://example.org/a\r\nHost: other", "is not a URL that can be sent to"),
        ("https://[::1", "is not a URL"),
        ("https://example.org/café", "must be ASCII"),
        ("https://café.example/", "must be ASCII"),
    ],
)
def test_urls_that_cannot_be_receivers_are_refused(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        parse_url(url)


@pytest.mark.attack
@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:7f00:1]", "0"])
def test_whatever_the_name_the_address_that_it_resolves_to_counts(host: str) -> None:
    with pytest.raises(AddressRefused, match=r"not a public address|cannot be resolved"):
        checked_addresses(parse_url(f"https://{host}/"), ())


@pytest.mark.attack
def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr("service.webhooks.addresses.socket.getaddrinfo", lambda *_, **__: both)

    with pytest.raises(AddressRefused, match=r"is at 10\.0\.0\.7"):
        checked_addresses(parse_url("https://rebinding.example/"), ())


@pytest.mark.attack
def test_http_is_for_allowed_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    public = [(2, 1, 6, "", ("93.184.216.34", 80))]
    monkeypatch.setattr("service.webhooks.addresses.socket.getaddrinfo", lambda *_, **__: public)

    with pytest.raises(AddressRefused, match="http is for allowed private networks"):
        checked_addresses(parse_url("http://plain.example/"), LOOPBACK)


def test_allowed_addresses_are_what_is_connected_to() -> None:
    assert checked_addresses(parse_url("http://127.0.0.1:8080/"), LOOPBACK) == ["127.0.0.1"]
