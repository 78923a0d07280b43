// Appointments by day, and for each calendar whether it shows them, and why not.

import * as api from "./api.js";
import { busy, button, follow, h, setClass, setText } from "./dom.js";
import { day, hour, localTimes, ownZone, span } from "./format.js";
import { PROVIDERS, T } from "./texts.js";

/** So many at once: each is asked for by itself to learn how it stands. */
const AT_ONCE = 10;
/** A list holds no more of them. */
const MOST = 200;
/** Changes come in bursts. */
const SOON_MS = 1_000;

export function appointmentList(coach, connections) {
  const rows = new Map();
  let shown = AT_ONCE;
  let timer = 0;
  let isStopped = false;
  let reading = Promise.resolve();
  let queued = null;
  const list = h("ul", { className: "rows" });
  const none = h("p", { className: "empty", hidden: true }, T.appointments.none);
  const count = h("p", { className: "soft", role: "status" });
  const from = h("input", { type: "date", id: "from", value: day(new Date()), on: { change: search } });
  const to = h("input", { type: "date", id: "to", on: { change: search } });
  const more = button(T.more, () => {
    shown = Math.min(shown + AT_ONCE, MOST);
    busy(more, refresh, () => {});
  });
  more.hidden = true;
  const rest = h("p", { className: "soft", hidden: true }, T.appointments.rest);
  const today = button(T.appointments.today, () => {
    from.value = day(new Date());
    to.value = "";
    search();
  });
  const node = h(
    "section",
    { aria: { labelledby: "appointments-title" } },
    h(
      "div",
      { className: "bar" },
      h("h2", { id: "appointments-title" }, T.appointments.title),
      h(
        "div",
        { className: "filter", role: "search" },
        h("label", { htmlFor: "from" }, T.appointments.from, from),
        h("label", { htmlFor: "to" }, T.appointments.to, to),
        today,
      ),
    ),
    count,
    none,
    list,
    h("div", { className: "buttons" }, more, rest),
  );

  function search() {
    shown = AT_ONCE;
    refresh();
  }

  function refresh() {
    clearTimeout(timer);
    timer = 0;
    // The one that waits for its turn sees whatever changed until then.
    queued ??= reading.then(() => {
      queued = null;
      reading = read().catch(() => {});
      return reading;
    });
    return queued;
  }

  async function read() {
    if (isStopped) return;
    const asked = { from: instant(from.value, 0), to: instant(to.value, 1), limit: shown };
    const page = await api.appointments(coach, asked);
    const all = await Promise.all(page.appointments.map(whole));
    const accounts = new Map(connections().map((one) => [one.id, one.account_email]));
    const items = all.map((appointment) => ({ appointment, accounts, refresh }));
    follow(list, rows, items, (item) => item.appointment.id, row);
    none.hidden = items.length > 0;
    const isFull = asked.limit >= MOST;
    more.hidden = !page.next_cursor || isFull;
    rest.hidden = !page.next_cursor || !isFull;
    setText(count, items.length > 0 ? T.appointments.results(items.length, Boolean(page.next_cursor)) : "");
  }

  return {
    node,
    refreshSoon: () => {
      if (!document.hidden) timer ||= setTimeout(refresh, SOON_MS);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** With how it stands in each calendar; where that is not told, as the list has it. */
const whole = (one) => api.appointment(one.id).catch(() => ({ ...one, connections: [] }));

/** The first instant of the day in a date field, or of one `later`. */
function instant(value, later) {
  if (!value) return "";
  const [year, month, date] = value.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

function row() {
  const when = h("h3");
  const zone = h("p", { className: "soft" });
  const who = h("p", { className: "who" });
  const place = h("p", { className: "soft" });
  const places = h("ul", { className: "places" });
  const lines = new Map();
  const node = h("li", {}, h("div", {}, when, zone), h("div", {}, who, place, places));
  const update = ({ appointment, accounts, refresh }) => {
    const state = T.appointments.status[appointment.status] ?? appointment.status;
    const isElsewhere = appointment.time_zone !== ownZone;
    setText(when, span(appointment.starts_at, appointment.ends_at));
    setText(
      zone,
      isElsewhere
        ? T.appointments.elsewhere(hour(appointment.starts_at, appointment.time_zone), appointment.time_zone)
        : "",
    );
    setText(who, `${appointment.client.name} · ${state}`);
    setText(place, appointment.location ?? appointment.meeting_url ?? "");
    const items = appointment.connections.map((one) => ({
      ...one,
      account: accounts.get(one.connection_id),
      appointment: appointment.id,
      refresh,
    }));
    follow(places, lines, items, (one) => one.connection_id, line);
  };
  return { node, update };
}

/** The appointment in one calendar. */
function line() {
  let item = null;
  const chip = h("span", { className: "chip" });
  const name = h("span");
  const why = h("span", { className: "soft" });
  const retry = button(T.appointments.retry, () =>
    busy(
      retry,
      async () => {
        await api.syncNow(item.connection_id, item.appointment);
        await item.refresh();
      },
      (problem) => setText(why, problem.text),
    ),
  );
  const node = h("li", {}, chip, name, why, retry);
  const update = (now) => {
    item = now;
    const [kind, text] = T.appointments.sync[now.sync_status] ?? ["", now.sync_status];
    const short = PROVIDERS[now.provider]?.short ?? now.provider;
    setText(name, now.account ? `${short} (${now.account})` : short);
    setText(chip, text);
    setClass(chip, `chip ${kind}`);
    setText(why, now.sync_status === "synced" ? "" : localTimes(now.reason));
    retry.hidden = now.sync_status !== "failed";
  };
  return { node, update };
}
