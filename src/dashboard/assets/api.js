// The public API, and its problems as errors. The page uses nothing that is not here.

import { token } from "./session.js";
import { T } from "./texts.js";

const ROOT = new URL("../", import.meta.url);
const BASE = new URL("api/calendar-integration/", ROOT);
const LONGEST_MS = 35_000;

/** What the API refused, in its own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || T.problems.status(status));
    this.status = status;
    this.code = body?.code ?? "unknown";
    this.errors = body?.errors ?? [];
  }

  /** With what is wrong with each field. */
  get text() {
    const fields = this.errors.map(({ pointer, detail }) =>
      T.problems.at(pointer.slice(1).replaceAll("_", " "), detail),
    );
    return [this.message, ...fields].join(" ");
  }
}

/** A request with our token, answered as it comes. */
export async function send(method, path, { body, headers, signal, base = BASE } = {}) {
  try {
    return await fetch(new URL(path, base), {
      method,
      headers: {
        Authorization: `Bearer ${token()}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      // The cookie that /connect sets ties the callback to this browser.
      credentials: "same-origin",
      cache: "no-store",
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted && signal.reason?.name === "AbortError") throw error;
    throw new Problem(0, { code: "unreachable", detail: T.problems.unreachable });
  }
}

const tooLate = () => AbortSignal.timeout(LONGEST_MS);

async function call(method, path, options = {}) {
  const late = tooLate();
  const signal = options.signal ? AbortSignal.any([options.signal, late]) : late;
  const answer = await send(method, path, { ...options, signal });
  const content = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

const id = encodeURIComponent;
const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given).toString();
};

export const beginConnect = (provider, coach) =>
  call(
    "GET",
    `connect/${id(provider)}/${id(coach)}?${query({ return_to: location.origin + location.pathname })}`,
  );
export const connections = (coach) => call("GET", `connections/${id(coach)}`);
/** Only if nobody changed the connection since: `etag` is the one it was shown with. */
export const change = (connection, changes, etag) =>
  call("PUT", `connections/${id(connection)}`, { body: changes, headers: { "If-Match": etag } });
export const preview = (connection, changes, signal) =>
  call("POST", `connections/${id(connection)}/preview`, { body: changes, signal });
export const disconnect = (connection) => call("DELETE", `connections/${id(connection)}`);
export const syncNow = (connection, appointment) =>
  call("POST", `connections/${id(connection)}/sync`, {
    body: appointment ? { appointment_id: appointment } : {},
  });
export const test = (connection) => call("POST", `connections/${id(connection)}/test`);
export const syncStatus = (connection) => call("GET", `connections/${id(connection)}/sync-status`);
export const calendars = (connection) => call("GET", `connections/${id(connection)}/calendars`);
export const appointment = (appointment) => call("GET", `appointments/${id(appointment)}`);
export const appointments = (coach, { from, to, limit, cursor }) =>
  call("GET", `appointments?${query({ coach_id: coach, from, to, limit, cursor })}`);

// For operators.
const top = { base: ROOT };
/** Not to be ready is an answer, too: 503, with its parts. */
export const readiness = async () => {
  const answer = await send("GET", "health/ready", { ...top, signal: tooLate() });
  const ready = await answer.json().catch(() => null);
  if (!ready?.parts) throw new Problem(answer.status, ready);
  return ready;
};
export const actors = (filter) => call("GET", `health/actors?${query(filter)}`, top);
export const metrics = async () => {
  const answer = await send("GET", "metrics", { ...top, signal: tooLate() });
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => null));
  return answer.text();
};
export const jobs = (filter) => call("GET", `queue?${query(filter)}`);
export const retryJob = (job) => call("POST", `queue/${id(job)}/retry`);
export const retryFailed = (filter = {}) => call("POST", `queue/retry-failed?${query(filter)}`);
export const audit = (filter) => call("GET", `audit?${query(filter)}`);
