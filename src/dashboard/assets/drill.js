// One connection, as an operator looks at it: how it stands, what it did last, who asked for what.

import * as api from "./api.js";
import { busy, button, follow, h, setText } from "./dom.js";
import { clock, moment } from "./format.js";
import { PROVIDERS, T } from "./texts.js";
import { connectionsOf } from "./tree.js";

const LOOK_MS = 3_000;
const SHOWN = 20;

/** Opens the dialog; `changed` is called after something was done. */
export function openConnection(id, changed) {
  const rows = new Map();
  let timer = 0;
  const facts = h("dl", { className: "facts" });
  const jobs = h("tbody");
  const history = h("ul", { className: "history" });
  const result = h("p", { className: "result", role: "status" });
  const tell = (problem) => say(problem.text ?? problem.message, "bad");
  const say = (text, kind) => {
    setText(result, text);
    result.className = `result ${kind}`;
  };
  const action = (text, work) => {
    const node = button(text, () => busy(node, work, tell).then(look).then(changed));
    return node;
  };
  const release = action(T.operator.release, async () => {
    await api.syncNow(id);
    say(T.operator.released, "good");
  });
  const replay = action(T.operator.replay, async () => {
    const { queued } = await api.retryFailed({ connection_id: id });
    say(T.operator.replayed(queued), "good");
  });
  const dialog = h(
    "dialog",
    { className: "wide", aria: { labelledby: "drill-title" } },
    h("header", {}, h("h2", { id: "drill-title" }, T.operator.connection), h("p", { className: "soft" }, id)),
    h(
      "div",
      { className: "drill", tabIndex: 0, role: "region", aria: { labelledby: "drill-title" } },
      facts,
      h("h3", {}, T.operator.jobs),
      h(
        "div",
        { className: "scroll", tabIndex: 0, role: "region", aria: { label: T.operator.jobs } },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h("tr", {}, ...T.operator.jobColumns.map((text) => h("th", { scope: "col" }, text))),
          ),
          jobs,
        ),
      ),
      h("h3", {}, T.operator.history),
      history,
    ),
    h(
      "footer",
      {},
      h(
        "div",
        { className: "bar" },
        result,
        h(
          "div",
          { className: "buttons" },
          release,
          replay,
          button(T.close, () => dialog.close(), "main"),
        ),
      ),
    ),
  );

  async function look() {
    clearTimeout(timer);
    try {
      await read();
    } catch (problem) {
      tell(problem);
    }
    if (dialog.open) timer = setTimeout(look, LOOK_MS);
  }

  async function read() {
    const [tree, queue, audit, status] = await Promise.all([
      api.actors({ connection_id: id }),
      api.jobs({ connection_id: id, limit: SHOWN }),
      api.audit({ connection_id: id, limit: SHOWN }),
      api.syncStatus(id).catch(() => null),
    ]);
    const coach = audit.events.find((event) => event.coach_id)?.coach_id;
    const all = coach ? await api.connections(coach).catch(() => null) : null;
    const connection = all?.connections.find((one) => one.id === id) ?? null;
    const actor = connectionsOf(tree).find((one) => one.connection_id === id) ?? null;
    showFacts({ connection, actor, status, node: tree.id });
    release.hidden = connection?.status !== "quarantined" && actor?.state !== "quarantined";
    replay.hidden = !(status?.failed > 0);
    // A row that did not change stays, and with it the focus on its button.
    const keyOf = (one) => `${one.id} ${one.status} ${one.attempts}`;
    follow(jobs, rows, queue.jobs, keyOf, (one) => ({ node: job(one), update: () => {} }));
    history.replaceChildren(
      ...audit.events.map((event) =>
        h(
          "li",
          {},
          h("strong", {}, T.operator.actions[event.action] ?? event.action),
          h(
            "span",
            { className: "soft" },
            T.operator.by(moment(event.at), event.role ?? "", event.actor ?? ""),
          ),
        ),
      ),
    );
  }

  function showFacts({ connection, actor, status, node }) {
    const until = actor?.limiter?.blocked_until;
    const names = T.operator.facts;
    const rows = [
      [
        names.account,
        connection &&
          `${PROVIDERS[connection.provider]?.short}: ${connection.account_email}, ${connection.calendar_name}`,
      ],
      [names.coach, connection?.coach_id],
      [names.status, connection && [connection.status, connection.status_reason].filter(Boolean).join(": ")],
      [names.actor, actor ? (T.operator.states[actor.state] ?? actor.state) : T.operator.noActor],
      [names.owner, actor ? (actor.owner ?? `${node} (${T.operator.thisNode})`) : null],
      [
        names.limiter,
        actor?.limiter &&
          T.operator.limit(
            actor.limiter.units,
            actor.limiter.window_seconds,
            until && new Date(until) > Date.now() ? clock(until) : null,
          ),
      ],
      [names.access, status?.access_expires_at && moment(status.access_expires_at)],
      [names.restarts, actor && String(actor.restarts)],
      [names.progress, actor?.last_progress_at && moment(actor.last_progress_at)],
      [names.error, actor?.last_error ?? connection?.last_sync_error],
      [names.lastSync, connection && moment(connection.last_sync_at)],
      [names.counts, status && T.operator.counts(status)],
    ];
    facts.replaceChildren(
      ...rows
        .filter(([, value]) => value)
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    );
  }

  function job(one) {
    const retry =
      one.status === "failed"
        ? action(T.operator.retry, () => api.retryJob(one.id).then(() => say(T.operator.replayed(1), "good")))
        : "";
    const kind = { failed: "bad", completed: "good", pending: "warn" }[one.status] ?? "";
    const cells = [
      h("span", { className: `chip ${kind}` }, T.operator.jobStates[one.status] ?? one.status),
      `${one.attempts}/${one.max_attempts}`,
      clock(one.completed_at ?? one.scheduled_for),
      [one.error_code, one.error_message].filter(Boolean).join(": "),
      retry,
    ];
    return h(
      "tr",
      { data: { appointment: one.appointment_id ?? "" } },
      h("th", { scope: "row" }, one.operation.replace("_", " ")),
      ...cells.map((cell) => h("td", {}, cell)),
    );
  }

  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  look();
}
