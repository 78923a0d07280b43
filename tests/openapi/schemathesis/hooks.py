"""Lets every request come from an address of its own.

Schemathesis sends many tokens that nobody believes, and the daemon makes an address wait that does so:
rightly, but then it could not be seen how each of them is refused. The daemon of these runs takes
loopback for a trusted proxy and believes it what address it calls for.
"""

import itertools
from ipaddress import IPv4Address
from typing import Any

import requests

ADDRESSES = itertools.count(int(IPv4Address("10.0.0.1")))

send = requests.Session.send


def send_from_an_address_of_its_own(
    session: requests.Session, request: requests.PreparedRequest, **options: Any
) -> requests.Response:
    request.headers["X-Forwarded-For"] = str(IPv4Address(next(ADDRESSES)))
    return send(session, request, **options)


# Below schemathesis, whose own hooks do not see its tries with bad tokens, and which expects something
# else of a case that a hook has changed.
requests.Session.send = send_from_an_address_of_its_own  # type: ignore[method-assign]
