// The connected calendars: how each stands, and what can be done with it.

import * as api from "./api.js";
import { element, follow, notice, setClass, setText } from "./dom.js";
import { openSettings } from "./settings.js";
import { PROVIDERS, moment, problemText, standing } from "./words.js";

const SYNC_POLL_MS = 700;

const list = document.getElementById("connections");
const cards = new Map();

export async function refresh(coach, connect, refreshAll) {
  const { connections } = await api.connections(coach);
  follow(list, cards, connections, (c) => c.id, (c) => card(c, connect, refreshAll));
  document.getElementById("no-connections").hidden = connections.length > 0;
  return connections;
}

export function clear() {
  cards.clear();
  list.replaceChildren();
}

function card(first, connect, refreshAll) {
  let connection = first;
  const parts = {
    title: element("h3"),
    calendar: element("p", { className: "soft" }),
    state: element("p"),
    counts: element("p", { className: "soft" }),
    progress: element("progress", { hidden: true, ariaLabel: "Sync progress" }),
    result: element("p", { role: "status" }),
  };
  const say = (text, kind = "") => {
    setText(parts.result, text);
    setClass(parts.result, kind);
  };
  const button = (text, work, className = "") => {
    const node = element("button", { type: "button", className }, text);
    node.addEventListener("click", () => run(node, work, say).then(refreshAll));
    return node;
  };
  const buttons = {
    reconnect: button("Sign in again", () => connect(connection.provider), "main"),
    sync: button("Sync now", () => syncNow(connection, parts.progress, say)),
    test: button("Test", () => test(connection, say)),
    settings: button("Settings", () => openSettings(connection)),
    disconnect: button("Disconnect", () => disconnect(connection), "danger"),
  };
  const node = element(
    "li",
    { className: "card" },
    ...Object.values(parts),
    element("div", { className: "buttons" }, ...Object.values(buttons)),
  );

  const update = (now) => {
    connection = now;
    const { kind, text } = standing(now);
    setText(parts.title, `${PROVIDERS[now.provider] ?? now.provider}: ${now.account_email}`);
    const zone = now.calendar_time_zone ? ` (${now.calendar_time_zone})` : "";
    setText(parts.calendar, `Calendar: ${now.calendar_name}${zone}`);
    setText(parts.state, text);
    setClass(parts.state, kind);
    setText(
      parts.counts,
      `Last sync: ${moment(now.last_sync_at)} · pending ${now.pending} · failed ${now.failed}`,
    );
    buttons.reconnect.hidden = now.status !== "needs_reauth";
  };
  return { node, update };
}

/** One thing at a time per button; what goes wrong is told on the card. */
async function run(button, work, say) {
  button.disabled = true;
  try {
    await work();
  } catch (problem) {
    say(problemText(problem), "bad");
  } finally {
    button.disabled = false;
  }
}

async function test(connection, say) {
  say("Testing…");
  const report = await api.test(connection.id);
  if (report.ok) {
    say(`Works: “${report.calendar_name}” of ${report.account_email} answered in ${report.latency_ms} ms.`, "good");
  } else {
    say(report.problem?.detail ?? "The calendar did not answer.", "bad");
  }
}

async function syncNow(connection, progress, say) {
  const started = await api.syncNow(connection.id);
  say("Syncing…");
  progress.hidden = false;
  progress.removeAttribute("value");
  try {
    for (;;) {
      const { current } = await api.syncStatus(connection.id);
      if (current?.sync_id !== started.sync_id) break;
      if (current.total > 0) {
        progress.max = current.total;
        progress.value = current.done + current.failed;
        say(`Syncing: ${current.done + current.failed} of ${current.total}.`);
      }
      await new Promise((resume) => setTimeout(resume, SYNC_POLL_MS));
    }
    const { pending, processing, failed } = await api.syncStatus(connection.id);
    if (failed > 0) say(`Sync ended; failed: ${failed}.`, "bad");
    else if (pending + processing > 0) say(`Sync ended; still on the way: ${pending + processing}.`);
    else say("Sync done: the calendar is in step.", "good");
  } finally {
    progress.hidden = true;
  }
}

async function disconnect(connection) {
  const dialog = document.getElementById("confirm");
  const name = `${PROVIDERS[connection.provider] ?? connection.provider} of ${connection.account_email}`;
  document.getElementById("confirm-text").textContent =
    `${name} is no longer kept in step and access to it is given up. Events that are in the calendar stay there.`;
  dialog.returnValue = "cancel";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "ok") return;
  const { provider_access_revoked: revoked } = await api.disconnect(connection.id);
  const access = revoked ? " Its access was revoked at the provider." : "";
  notice(`${name} is disconnected.${access} Its events stay in the calendar.`, "good");
}
