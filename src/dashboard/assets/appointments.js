// The coming appointments, and for each calendar why it shows them or not.

import * as api from "./api.js";
import { element, follow, setClass, setText } from "./dom.js";
import { APPOINTMENT_STATES, PROVIDERS, SYNC_STATES, elsewhere, span } from "./words.js";

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
    standings: explained[position]?.connections ?? [],
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
  const places = element("ul");
  const lines = new Map();
  const node = element("li", {}, element("div", {}, when, zone), element("div", {}, what, place, places));
  const update = ({ appointment, standings, accounts }) => {
    setText(when, span(appointment));
    setText(zone, elsewhere(appointment));
    const state = APPOINTMENT_STATES[appointment.status] ?? appointment.status;
    setText(what, `${appointment.client.name} (${state})`);
    setText(place, appointment.location ?? appointment.meeting_url ?? "");
    const items = standings.map((standing) => ({ ...standing, account: accounts.get(standing.connection_id) }));
    follow(places, lines, items, (item) => item.connection_id, line);
  };
  return { node, update };
}

function line() {
  const node = element("li");
  const update = (standing) => {
    const { kind, text } = SYNC_STATES[standing.sync_status] ?? { kind: "", text: standing.sync_status };
    const name = PROVIDERS[standing.provider] ?? standing.provider;
    const account = standing.account ? ` (${standing.account})` : "";
    const error = standing.error ? ` ${standing.error}` : "";
    setText(node, `${name}${account}: ${text}. ${standing.reason}${error}`);
    setClass(node, kind);
  };
  return { node, update };
}
