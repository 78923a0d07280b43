"""The story that every generated client tells against the live demo, in Python: openapi-python-client
made the client.

API_URL and API_TOKEN (of an operator) name the demo. Ends with 1 where it is not as told.
"""

import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
from calendar_integration_client import AuthenticatedClient
from calendar_integration_client.api.appointments import get_appointment, put_appointment
from calendar_integration_client.api.connect import start_sign_in
from calendar_integration_client.api.connections import (
    disconnect,
    get_sync_status,
    list_connections,
    sync_now,
    update_connection,
)
from calendar_integration_client.models import (
    AppointmentReport,
    ClientReport,
    Connection,
    ConnectionList,
    ConnectionSettings,
    ConnectionStatus,
    DisconnectResponse404,
    EndedConnection,
    EndedStatus,
    ExplainedAppointment,
    Outcome,
    ProviderKind,
    Receipt,
    ReportedStatus,
    SignIn,
    StartedSync,
    SyncRequest,
    SyncState,
    SyncStatus,
    UpdateConnectionResponse412,
    UpdateConnectionResponse422,
)
from calendar_integration_client.types import Unset

Answer = TypeVar("Answer")

COACH = uuid.uuid4()
APPOINTMENT = uuid.uuid4()


def expect(kind: type[Answer], answer: object) -> Answer:
    """The answer, if it is of that kind; else what it is fails the story."""
    assert isinstance(answer, kind), answer
    return answer


def eventually(what: str, holds: Callable[[], bool]) -> None:
    """Asks until it is as it should be."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within 30 seconds"
        time.sleep(0.1)


def report_an_appointment(api: AuthenticatedClient) -> None:
    starts_at = datetime.now(UTC) + timedelta(days=1)
    report = AppointmentReport(
        coach_id=COACH,
        status=ReportedStatus.CONFIRMED,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1),
        time_zone="Europe/Berlin",
        client=ClientReport(name="John Doe", email="john@example.org"),
    )
    receipt = put_appointment.sync(APPOINTMENT, client=api, body=report)
    assert expect(Receipt, receipt).outcome == Outcome.CREATED


def connect(api: AuthenticatedClient) -> Connection:
    """As a browser does: the consent page belongs to the provider, so no client is generated for it."""
    begun = start_sign_in.sync_detailed(ProviderKind.GOOGLE, COACH, client=api)
    consent_page = expect(SignIn, begun.parsed).authorization_url
    cookie = begun.headers["set-cookie"].split(";")[0]
    agreed = {"account": f"{COACH}@example.com", "decision": "allow"}
    callback = httpx.post(consent_page, data=agreed).headers["location"]
    end = httpx.get(callback, headers={"cookie": cookie}).headers["location"]
    assert "success=connected" in end, end

    (connection,) = expect(ConnectionList, list_connections.sync(COACH, client=api)).connections
    assert connection.status == ConnectionStatus.ACTIVE
    return connection


def read_status(api: AuthenticatedClient) -> None:
    def is_synced() -> bool:
        appointment = expect(ExplainedAppointment, get_appointment.sync(APPOINTMENT, client=api))
        return any(it.sync_status == SyncState.SYNCED for it in appointment.connections)

    eventually("the appointment is in the calendar", is_synced)


def change_settings(api: AuthenticatedClient, connection: Connection) -> None:
    def change(template: str) -> object:
        settings = ConnectionSettings(event_title_template=template)
        return update_connection.sync(connection.id, client=api, body=settings, if_match=connection.etag)

    refused = expect(UpdateConnectionResponse422, change("Session with {client_nme}"))
    assert refused.code == "invalid_settings"
    assert not isinstance(refused.errors, Unset)
    assert refused.errors[0].pointer == "/event_title_template"

    changed = expect(Connection, change("Session {appointment_id}"))
    assert changed.event_title_template == "Session {appointment_id}"
    outdated = expect(UpdateConnectionResponse412, change("Changed by somebody who has not seen that"))
    assert outdated.code == "precondition_failed"


def sync(api: AuthenticatedClient, connection: Connection) -> None:
    body = SyncRequest(appointment_id=APPOINTMENT)
    expect(StartedSync, sync_now.sync(connection.id, client=api, body=body))

    def has_ended() -> bool:
        status = expect(SyncStatus, get_sync_status.sync(connection.id, client=api))
        assert status.failed == 0
        return status.pending + status.processing == 0 and status.synced == 1

    eventually("the sync ends", has_ended)


def end(api: AuthenticatedClient, connection: Connection) -> None:
    ended = expect(EndedConnection, disconnect.sync(connection.id, client=api))
    assert ended.status == EndedStatus.DISCONNECTED
    gone = expect(DisconnectResponse404, disconnect.sync(connection.id, client=api))
    assert gone.code == "connection_not_found"


def main() -> None:
    with AuthenticatedClient(os.environ["API_URL"], token=os.environ["API_TOKEN"]) as api:
        report_an_appointment(api)
        connection = connect(api)
        read_status(api)
        change_settings(api, connection)
        sync(api, connection)
        end(api, connection)
    print("the Python client told its story")


if __name__ == "__main__":
    main()
