// The story that every generated client tells against the live demo, in TypeScript: openapi-typescript
// made the types, openapi-fetch makes the calls.
//
// API_URL and API_TOKEN (of an operator) name the demo. Ends with 1 where it is not as told.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./calendar-integration.js";

type Connection = components["schemas"]["Connection"];

const { API_URL, API_TOKEN } = process.env;
assert(API_URL && API_TOKEN, "API_URL and API_TOKEN are not set");
const api = createClient<paths>({
  baseUrl: API_URL,
  headers: { Authorization: `Bearer ${API_TOKEN}` },
});
const coach = randomUUID();
const appointment = randomUUID();

// Asks until it is as it should be.
async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await wait(100)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  throw new Error(`${what}: not within 30 seconds`);
}

async function reportAnAppointment(): Promise<void> {
  const day = 24 * 3600 * 1000;
  const starts = Date.now() + day;
  const { data, error, response } = await api.PUT("/api/calendar-integration/appointments/{id}", {
    params: { path: { id: appointment } },
    body: {
      coach_id: coach,
      status: "confirmed",
      starts_at: new Date(starts).toISOString(),
      ends_at: new Date(starts + day / 24).toISOString(),
      time_zone: "Europe/Berlin",
      client: { name: "John Doe", email: "john@example.org" },
    },
  });
  assert(data, error?.detail);
  assert.equal(response.status, 201);
  assert.equal(data.outcome, "created");
}

// As a browser does: the consent page belongs to the provider, so no client is generated for it.
async function connect(): Promise<Connection> {
  const { data, error, response } = await api.GET(
    "/api/calendar-integration/connect/{provider}/{coach_id}",
    { params: { path: { provider: "google", coach_id: coach } } },
  );
  assert(data, error?.detail);
  const cookie = response.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");
  const consent = await fetch(data.authorization_url, {
    method: "POST",
    body: new URLSearchParams({ account: `${coach}@example.com`, decision: "allow" }),
    redirect: "manual",
  });
  const callback = consent.headers.get("location");
  assert(callback, "the provider sends nobody back");
  const end = await fetch(callback, { headers: { cookie }, redirect: "manual" });
  assert.match(end.headers.get("location") ?? "", /[?&]success=connected/);

  const { data: list } = await api.GET("/api/calendar-integration/connections/{id}", {
    params: { path: { id: coach } },
  });
  const [connection, ...others] = list?.connections ?? [];
  assert(connection && others.length === 0, "one connection");
  assert.equal(connection.status, "active");
  return connection;
}

async function readStatus(): Promise<void> {
  await eventually("the appointment is in the calendar", async () => {
    const { data, error } = await api.GET("/api/calendar-integration/appointments/{id}", {
      params: { path: { id: appointment } },
    });
    assert(data, error?.detail);
    return data.connections.some((standing) => standing.sync_status === "synced") || undefined;
  });
}

async function changeSettings(connection: Connection): Promise<void> {
  const change = (template: string) =>
    api.PUT("/api/calendar-integration/connections/{id}", {
      params: { path: { id: connection.id }, header: { "If-Match": connection.etag } },
      body: { event_title_template: template },
    });
  const { error: refused } = await change("Session with {client_nme}");
  assert(refused, "a placeholder that does not exist is taken");
  // The compiler knows the codes of this operation: another word would not compile.
  assert.equal(refused.code, "invalid_settings");
  assert.equal(refused.errors?.[0]?.pointer, "/event_title_template");

  const { data, error } = await change("Session {appointment_id}");
  assert(data, error?.detail);
  assert.equal(data.event_title_template, "Session {appointment_id}");
  const { error: outdated } = await change("Changed by somebody who has not seen that");
  assert.equal(outdated?.code, "precondition_failed");
}

async function sync(connection: Connection): Promise<void> {
  const params = { path: { id: connection.id } };
  const { data, error } = await api.POST("/api/calendar-integration/connections/{id}/sync", {
    params,
    body: { appointment_id: appointment },
  });
  assert(data, error?.detail);
  await eventually("the sync ends", async () => {
    const status = await api.GET("/api/calendar-integration/connections/{id}/sync-status", { params });
    assert(status.data, status.error?.detail);
    const { pending, processing, synced, failed } = status.data;
    assert.equal(failed, 0);
    return (pending + processing === 0 && synced === 1) || undefined;
  });
}

async function disconnect(connection: Connection): Promise<void> {
  const end = () =>
    api.DELETE("/api/calendar-integration/connections/{id}", {
      params: { path: { id: connection.id } },
    });
  const { data, error } = await end();
  assert(data, error?.detail);
  assert.equal(data.status, "disconnected");
  const { error: gone } = await end();
  assert.equal(gone?.code, "connection_not_found");
}

await reportAnAppointment();
const connection = await connect();
await readStatus();
await changeSettings(connection);
await sync(connection);
await disconnect(connection);
console.log("the TypeScript client told its story");
