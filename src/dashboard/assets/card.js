// One connected calendar: how it stands, and what can be done with it.

import * as api from "./api.js";
import { ask } from "./confirm.js";
import { busy, button, follow, h, setClass, setText } from "./dom.js";
import { span } from "./format.js";
import { notice } from "./notices.js";
import { standing } from "./standing.js";
import { PROVIDERS, T } from "./texts.js";

const LOOK_MS = 700;
/** So long a screen reader has for what changed. */
const TOLD_MS = 5_000;
/** So many failures are shown by name. */
const FAILURES_SHOWN = 3;

/** `page` offers `connect(provider)` and `refresh()`. */
export function card(first, page) {
  let connection = first;
  let details = null;
  let timer = 0;
  const failures = new Map();
  const parts = {
    name: h("h3"),
    account: h("p", { className: "account" }),
    state: h("p", { className: "state" }),
    // No paragraph: an empty one is not shown, and nobody listens to it.
    told: h("div", { className: "unseen", role: "status" }),
    progress: h("progress", { hidden: true, aria: { label: T.card.progress } }),
    facts: h("p", { className: "soft" }),
    failures: h("ul", { className: "failures" }),
    result: h("p", { className: "result", role: "status" }),
  };
  const say = (text, kind = "") => {
    setText(parts.result, text);
    setClass(parts.result, `result ${kind}`);
  };
  const tell = (problem) => say(problem.text ?? problem.message, "bad");
  const action = (text, work, className) => {
    const node = button(text, () => busy(node, work, tell).then(page.refresh), className);
    return node;
  };
  const reconnect = action(T.card.reconnect, () => page.connect(connection.provider), "main");
  const sync = action(T.card.syncNow, () =>
    syncNow(
      () => connection,
      (now) => show(connection, now),
      say,
    ),
  );
  const node = h(
    "li",
    { className: "card", data: { connection: first.id } },
    h("div", { className: "head" }, h("div", {}, parts.name, parts.account)),
    parts.state,
    parts.told,
    parts.progress,
    parts.facts,
    parts.failures,
    parts.result,
    h(
      "div",
      { className: "buttons", role: "group", aria: { label: T.card.actions(first.account_email) } },
      reconnect,
      sync,
      action(T.card.test, () => test(connection, say)),
      action(T.card.settings, async () => {
        const { openSettings } = await import("./settings.js");
        if (await openSettings(connection)) say(T.settings.saved, "good");
      }),
      action(T.card.disconnect, () => disconnect(connection), "plain danger"),
    ),
  );

  function show(now, known) {
    connection = now;
    details = known ?? details;
    const { kind, text } = standing(now, details);
    if (node.dataset.state && node.dataset.state !== kind) announce(text);
    node.dataset.state = kind;
    setText(parts.name, PROVIDERS[now.provider]?.name ?? now.provider);
    setText(parts.account, now.account_email);
    setText(parts.state, text);
    setClass(parts.state, `state ${kind}`);
    setText(parts.facts, T.card.calendar(now.calendar_name, now.calendar_time_zone));
    reconnect.hidden = now.status !== "needs_reauth";
    sync.hidden = !reconnect.hidden;
    showProgress(parts.progress, kind === "busy" ? details?.current : null);
    const failed = (details?.recent_jobs ?? []).filter(
      (job) => job.status === "failed" && job.appointment_id,
    );
    const shown = now.failed > 0 ? failed.slice(0, FAILURES_SHOWN) : [];
    follow(
      parts.failures,
      failures,
      shown,
      (job) => job.id,
      () => failure(now.id, say, page),
    );
  }

  /** Only when the kind of state changes: the sentence itself changes with every minute. */
  function announce(text) {
    clearTimeout(timer);
    setText(parts.told, text);
    timer = setTimeout(() => setText(parts.told, ""), TOLD_MS);
  }
  return {
    node,
    update: (now) => show(now),
    details: (known) => show(connection, known),
    progress: (current) => show(connection, { recent_jobs: [], ...details, current }),
  };
}

function showProgress(bar, current) {
  bar.hidden = !current;
  if (!current) return;
  if (current.total > 0) {
    bar.max = current.total;
    bar.value = current.done + current.failed;
  } else {
    bar.removeAttribute("value");
  }
}

/** An appointment that was given up, why, and another try. */
function failure(connection, say, page) {
  let job = null;
  const what = h("strong");
  const why = h("span");
  const retry = button(T.card.retry, () =>
    busy(
      retry,
      async () => {
        await api.syncNow(connection, job.appointment_id);
        say(T.card.retried);
        await page.refresh();
      },
      (problem) => say(problem.text, "bad"),
    ),
  );
  const node = h("li", {}, h("div", {}, what, why), retry);
  const name = async (id) => {
    const found = await api.appointment(id).catch(() => null);
    if (found) setText(what, `${found.client.name}, ${span(found.starts_at, found.ends_at)}`);
  };
  const update = (now) => {
    if (now.appointment_id !== job?.appointment_id) name(now.appointment_id);
    job = now;
    setText(why, now.error_message ?? "");
  };
  return { node, update };
}

async function test(connection, say) {
  say(T.card.testing);
  const report = await api.test(connection.id);
  if (report.ok) say(T.card.works(report.calendar_name, report.latency_ms), "good");
  else say(report.problem?.detail ?? T.card.fails, "bad");
}

/** Starts a sync and shows how far it is, until it is done, or waits for something. */
async function syncNow(present, show, say) {
  const connection = present().id;
  say(T.card.starting);
  const { sync_id: id, queued } = await api.syncNow(connection);
  if (queued === 0) return say(T.card.upToDate, "good");
  let status = await api.syncStatus(connection);
  say("");
  while (status.current?.sync_id === id) {
    show(status);
    // As long as nothing moves, the sentence says until when.
    if (["warn", "bad"].includes(standing(present(), status).kind)) return;
    await new Promise((resume) => setTimeout(resume, LOOK_MS));
    status = await api.syncStatus(connection);
  }
  show(status);
  const left = status.pending + status.processing;
  if (status.failed > 0) say(T.card.doneFailed(status.failed), "bad");
  else if (left > 0) say(T.card.doneWaiting(left));
  else say(T.card.done, "good");
}

async function disconnect(connection) {
  const name = PROVIDERS[connection.provider]?.name ?? connection.provider;
  const isSure = await ask({
    title: T.disconnect.title,
    lines: [T.disconnect.text(name, connection.account_email), T.disconnect.stay],
    yes: T.disconnect.ok,
    no: T.disconnect.keep,
    isDangerous: true,
  });
  if (!isSure) return;
  const ended = await api.disconnect(connection.id);
  const revoked = ended.provider_access_revoked ? ` ${T.disconnect.revoked}` : "";
  notice(`${T.disconnect.done(name, connection.account_email)}${revoked}`, "good");
}
