"""What is there before schemathesis begins: coaches with connected calendars and appointments.

API_URL and API_TOKEN (of an admin) name the daemon, COACH its first coach. Writes what there is as
dictionaries into the working directory.
"""

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

BASE = "/api/calendar-integration"


def connect(api: httpx.Client, provider: str, coach: str, account: str) -> None:
    begun = api.get(f"{BASE}/connect/{provider}/{coach}").raise_for_status()
    agreed = {"account": account, "decision": "allow"}
    callback = httpx.post(begun.json()["authorization_url"], data=agreed).headers["location"]
    cookie = begun.headers["set-cookie"].split(";")[0]
    end = httpx.get(callback, headers={"cookie": cookie}).headers["location"]
    assert "success=connected" in end, end


def report(api: httpx.Client, coach: str, hours: int) -> str:
    appointment = str(uuid.uuid4())
    starts_at = datetime.now(UTC) + timedelta(hours=hours)
    body = {
        "coach_id": coach,
        "status": "confirmed",
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
        "time_zone": "Europe/Berlin",
        "client": {"name": "John Doe", "email": "john@example.org"},
    }
    api.put(f"{BASE}/appointments/{appointment}", json=body).raise_for_status()
    return appointment


def write(name: str, words: list[str]) -> None:
    Path(f"{name}.txt").write_text("".join(f'"{word}"\n' for word in words))


def main() -> None:
    coaches = [os.environ["COACH"], str(uuid.uuid4())]
    leaving_coaches = [str(uuid.uuid4()) for _ in range(2)]
    headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
    with httpx.Client(base_url=os.environ["API_URL"], headers=headers, timeout=20) as api:
        appointments = [report(api, coach, hours) for coach in coaches for hours in range(1, 6)]
        for coach in coaches + leaving_coaches:
            for provider in ("google", "outlook"):
                for account in range(4):
                    connect(api, provider, coach, f"{account}-{coach}@example.com")
        connections = []
        leaving_connections = []
        for coach in coaches:
            of_coach = api.get(f"{BASE}/connections/{coach}").raise_for_status().json()["connections"]
            ids = [connection["id"] for connection in of_coach]
            connections += ids[::2]
            leaving_connections += ids[1::2]
    write("coaches", coaches)
    write("leaving_coaches", leaving_coaches)
    write("appointments", appointments)
    write("connections", connections)
    write("leaving_connections", leaving_connections)


if __name__ == "__main__":
    main()
