"""Which IP addresses are public: by a list of our own, since those of Python's versions differ.

The networks are those that the IANA registries of special purpose addresses (IPv4, IPv6) name as not globally
reachable, and all that carry an IPv4 address inside an IPv6 one: there the address inside counts.
"""

from __future__ import annotations

import ipaddress

_PRIVATE_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # between a provider and its customers
            "127.0.0.0/8",
            "168.63.129.16/32",  # what Azure's machines ask about themselves
            "169.254.0.0/16",  # link-local, and the metadata services of clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_6 = ipaddress.IPv6Network(
    "2000::/3"
)  # all that is assigned to the internet; fc00, fe80, fec0, ff00 lie outside
_PRIVATE_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_CARRYING_4 = (  # a network, and the byte at which the IPv4 address begins in its addresses
    (ipaddress.IPv6Network("::ffff:0:0/96"), 12),  # mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 12),  # NAT64 (RFC 6052)
    (ipaddress.IPv6Network("2002::/16"), 2),  # 6to4
)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet; where it carries an IPv4 address, whether that one is too.

    >>> [is_public(address) for address in ("8.8.8.8", "10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "fec0::1")]
    [True, False, True, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _PRIVATE_4)
    for network, start in _CARRYING_4:
        if ip in network:
            return is_public(str(ipaddress.IPv4Address(ip.packed[start : start + 4])))
    return ip in _GLOBAL_6 and not any(ip in network for network in _PRIVATE_6)
