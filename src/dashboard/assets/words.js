// What states and codes mean, in words for a coach.

export const PROVIDERS = { google: "Google Calendar", outlook: "Outlook" };

const CALLBACK_ERRORS = {
  access_denied: "Access was not granted, so nothing was connected. You can try again at any time.",
  missing_parameters: "The calendar service sent you back without an answer. Please try again.",
  invalid_state: "This sign-in does not belong to this browser, or it was used before. Please start again from this page.",
  expired_state: "The sign-in took too long. Please start again.",
  insufficient_scope: "Not all permissions were granted. Please connect again and leave every box ticked.",
  exchange_failed: "The calendar service did not confirm the sign-in. Please try again.",
  calendar_access_failed: "You are signed in, but your calendar did not answer. Please try again in a moment.",
  provider_error: "The calendar service had a problem, or does not accept this application. Please try again later.",
};

const named = (provider) => PROVIDERS[provider] ?? "The calendar";

/** What the callback's parameters tell; null if there are none. */
export function callbackOutcome(query) {
  const provider = query.get("provider");
  if (query.get("success") === "connected") {
    return { kind: "good", text: `${named(provider)} is connected. Your appointments are on their way.` };
  }
  const error = query.get("error");
  if (!error) return null;
  const text = CALLBACK_ERRORS[error] ?? "The calendar could not be connected. Please try again.";
  return { kind: "bad", text: PROVIDERS[provider] ? `${PROVIDERS[provider]}: ${text}` : text };
}

const counted = (count, one, many) => (count === 1 ? `1 ${one}` : `${count} ${many}`);

/** How a connection stands, in one sentence, and how to colour it. */
export function standing(connection) {
  const { status, status_reason: reason, pending, failed } = connection;
  switch (status) {
    case "needs_reauth":
      return { kind: "bad", text: reason || "The account asks for a new sign-in." };
    case "quarantined":
      return { kind: "warn", text: reason || "Set aside after repeated failures; tried again by itself." };
    case "disconnected":
      return { kind: "warn", text: "Disconnected." };
  }
  if (!connection.is_sync_enabled) return { kind: "warn", text: "Sync is switched off." };
  if (pending > 0) {
    const text = `${counted(pending, "appointment is", "appointments are")} on the way.`;
    const error = connection.last_sync_status === "error" && connection.last_sync_error;
    return error ? { kind: "warn", text: `${text} Last problem: ${error}` } : { kind: "", text };
  }
  if (failed > 0) {
    return { kind: "bad", text: `${counted(failed, "appointment", "appointments")} could not be carried.` };
  }
  if (connection.last_sync_status === "pending") return { kind: "", text: "Connected. Nothing was carried yet." };
  return { kind: "good", text: "The calendar is in step." };
}

export const SYNC_STATES = {
  synced: { kind: "good", text: "in the calendar" },
  pending: { kind: "", text: "on the way" },
  processing: { kind: "", text: "being carried" },
  failed: { kind: "bad", text: "failed" },
  waiting: { kind: "warn", text: "waiting" },
  not_wanted: { kind: "soft", text: "not in the calendar" },
  switched_off: { kind: "warn", text: "switched off" },
};

export const APPOINTMENT_STATES = {
  pending: "not confirmed",
  confirmed: "confirmed",
  completed: "took place",
  cancelled: "cancelled",
  no_show: "client did not come",
};

export function moment(text) {
  return text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }) : "never";
}

const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DAY = { weekday: "short", day: "numeric", month: "short" };

/** Start and end in the time zone of whoever looks. */
export function span(appointment) {
  const start = new Date(appointment.starts_at);
  const end = new Date(appointment.ends_at);
  const times = [start, end].map((at) => at.toLocaleTimeString([], CLOCK));
  return `${start.toLocaleDateString([], DAY)}, ${times.join("\u2013")}`;
}

/** The start in the appointment's own time zone. */
export function elsewhere(appointment) {
  const zone = appointment.time_zone;
  const start = new Date(appointment.starts_at);
  return `${start.toLocaleString([], { weekday: "short", ...CLOCK, timeZone: zone })} in ${zone}`;
}

/** A problem of the API as one text. */
export function problemText(problem) {
  const parts = problem.errors?.map(({ pointer, detail }) => `${pointer.slice(1).replaceAll("_", " ")}: ${detail}`);
  return [problem.message, ...(parts ?? [])].join(" ");
}
