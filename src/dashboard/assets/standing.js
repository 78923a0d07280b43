// How a connection stands, in one sentence, and how to colour it. Pure.

import { ago, clock } from "./format.js";
import { T } from "./texts.js";

/** A moment is no wait worth telling. */
const SOON_MS = 2_000;

/** `details` is what sync-status answered last, if it was asked. */
export function standing(connection, details, now = Date.now()) {
  const { provider, status, pending, failed } = connection;
  if (status === "needs_reauth") return { kind: "bad", text: T.standing.reauth(provider) };
  if (status === "quarantined") return { kind: "warn", text: T.standing.quarantined };
  if (!connection.is_sync_enabled) return { kind: "soft", text: T.standing.off };
  if (pending > 0) return waiting(connection, details, now) ?? underWay(connection, details);
  if (failed > 0) return { kind: "bad", text: T.standing.failed(failed) };
  const at = connection.last_sync_at;
  return { kind: "good", text: at ? T.standing.inStep(ago(at, now)) : T.standing.inStepNew };
}

function underWay({ pending }, details) {
  const current = details?.current;
  const text =
    current?.total > 0
      ? T.standing.catchingUp(current.done + current.failed, current.total)
      : T.standing.onTheWay(pending);
  return { kind: "busy", text };
}

/** Nothing moves before a time that is known, and why. */
function waiting({ provider }, details, now) {
  if (!details || details.processing > 0) return null;
  const wait = details.waiting;
  if (wait && new Date(wait.until) - now > SOON_MS) {
    return { kind: "warn", text: T.standing.waits[wait.reason](provider, clock(wait.until)) };
  }
  const open = details.recent_jobs.filter((job) => job.status === "pending");
  if (open.length === 0) return null;
  const next = open.reduce((one, other) => (one.scheduled_for < other.scheduled_for ? one : other));
  if (new Date(next.scheduled_for) - now < SOON_MS) return null;
  return { kind: "warn", text: T.standing.waits.outage(provider, clock(next.scheduled_for)) };
}
