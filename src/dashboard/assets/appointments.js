// The coming appointments, and for each calendar why it shows them or not.

import * as api from "./api.js";
import { element, follow, setClass, setText } from "./dom.js";
import { APPOINTMENT_STATES, PROVIDERS, SYNC_STATES, span } from "./words.js";

/** So many are shown: each is asked for by itself to learn how it stands. */
const SHOWN = 20;

const list = document.getElementById("appointments");
const rows = new Map();

export async function refresh(coach, connections) {
  const { appointments } = await api.upcoming(coach, new Date().toISOString(), SHOWN);
  const explained = await Promise.all(appointments.map(({ id }) => api.appointment(id).catch(() => null)));
  const accounts = new Map(connections.map((c) => [c.id, c.account_email]));
  const items = appointments.map((appointment, position) => ({
    appointment,
    calendars: explained[position]?.calendars ?? [],
    accounts,
  }));
  follow(list, rows, items, (item) => item.appointment.id, row);
  document.getElementById("no-appointments").hidden = items.length > 0;
}

export function clear() {
  rows.clear();
  list.replaceChildren();
}

function row() {
  const when = element("strong");
  const zone = element("p", { className: "soft" });
  const what = element("h3");
  const place = element("p", { className: "soft" });
  const standings = element("ul");
  const lines = new Map();
  const node = element("li", {}, element("div", {}, when, zone), element("div", {}, what, place, standings));
  const update = ({ appointment, calendars, accounts }) => {
    setText(when, span(appointment));
    setText(zone, appointment.time_zone);
    const state = APPOINTMENT_STATES[appointment.status] ?? appointment.status;
    setText(what, `${appointment.client.name} (${state})`);
    setText(place, appointment.location ?? appointment.meeting_url ?? "");
    const items = calendars.map((calendar) => ({ ...calendar, account: accounts.get(calendar.connection_id) }));
    follow(standings, lines, items, (item) => item.connection_id, line);
  };
  return { node, update };
}

function line() {
  const node = element("li");
  const update = (calendar) => {
    const { kind, text } = SYNC_STATES[calendar.sync_status] ?? { kind: "", text: calendar.sync_status };
    const name = PROVIDERS[calendar.provider] ?? calendar.provider;
    const account = calendar.account ? ` (${calendar.account})` : "";
    const error = calendar.error ? ` ${calendar.error}` : "";
    setText(node, `${name}${account}: ${text}. ${calendar.reason}${error}`);
    setClass(node, kind);
  };
  return { node, update };
}
