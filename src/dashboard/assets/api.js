// The public API, and its problems as errors.

import { token } from "./session.js";

const BASE = new URL("../api/calendar-integration/", import.meta.url);

/** What the API refused, in its own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || `The server answered with status ${status}.`);
    this.status = status;
    this.code = body?.code ?? "unknown";
    this.errors = body?.errors ?? [];
    this.requestId = body?.request_id;
  }
}

async function call(method, path, body) {
  const headers = { Accept: "application/json", Authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), {
      method,
      headers,
      // The sign-in cookie that /connect sets ties the callback to this browser.
      credentials: "include",
      cache: "no-store",
      signal: AbortSignal.timeout(35_000),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { code: "unreachable", detail: "The server cannot be reached." });
  }
  const content = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

const id = encodeURIComponent;

export const beginConnect = (provider, coach) => {
  const query = new URLSearchParams({ return_to: location.origin + location.pathname });
  return call("GET", `connect/${id(provider)}/${id(coach)}?${query}`);
};
export const connections = (coach) => call("GET", `connections/${id(coach)}`);
export const change = (connection, changes) => call("PUT", `connections/${id(connection)}`, changes);
export const disconnect = (connection) => call("DELETE", `connections/${id(connection)}`);
export const syncNow = (connection) => call("POST", `connections/${id(connection)}/sync`, {});
export const test = (connection) => call("POST", `connections/${id(connection)}/test`);
export const syncStatus = (connection) => call("GET", `connections/${id(connection)}/sync-status`);
export const calendars = (connection) => call("GET", `connections/${id(connection)}/calendars`);
export const appointment = (appointment) => call("GET", `appointments/${id(appointment)}`);
export const upcoming = (coach, from, limit) =>
  call("GET", `appointments?${new URLSearchParams({ coach_id: coach, from, limit })}`);
