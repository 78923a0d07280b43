// The operator's view: what runs, what needs somebody, and the figures of the last hour.

import * as api from "./api.js";
import { ask } from "./confirm.js";
import { busy, button, follow, h, setClass, setText } from "./dom.js";
import { openConnection } from "./drill.js";
import { ago, clock } from "./format.js";
import { figures } from "./figures.js";
import { notice } from "./notices.js";
import { T } from "./texts.js";
import { connectionsOf } from "./tree.js";

const LOOK_MS = 3_000;
const AT_ONCE = 50;
/** What needs somebody comes first. */
const STATES = ["quarantined", "restarting", "waiting", "starting", "running", "idle"];
const NEEDS_SOMEBODY = STATES.slice(0, 3);
const KIND = { quarantined: "bad", restarting: "warn", waiting: "warn", running: "good" };

/** Fills `main`; answers the function that ends it. */
export function open(main, refused) {
  const rows = new Map();
  let shown = AT_ONCE;
  let timer = 0;
  let isOver = false;
  const parts = h("ul", { className: "parts" });
  const totals = h("dl", { className: "totals" });
  const filter = h(
    "select",
    { id: "state", on: { change: () => ((shown = AT_ONCE), look()) } },
    h("option", { value: "" }, T.operator.worstFirst),
    ...STATES.map((state) => h("option", { value: state }, T.operator.states[state])),
  );
  const wanted = h("input", {
    id: "wanted",
    type: "search",
    autocomplete: "off",
    spellcheck: false,
    placeholder: T.operator.idExample,
  });
  const body = h("tbody");
  const none = h("p", { className: "empty", hidden: true }, T.operator.none);
  const count = h("p", { className: "soft", role: "status" });
  const more = button(T.more, () => ((shown += AT_ONCE), busy(more, look, () => {})));
  const replay = button(T.operator.replayAll, () => busy(replay, replayAll, tell));
  const charts = figures((problem) => isOver || refused(problem));

  main.replaceChildren(
    section("health", T.operator.health, null, parts, totals),
    section(
      "tree",
      T.operator.connections,
      h(
        "form",
        { className: "filter", role: "search", on: { submit: find } },
        h("label", { htmlFor: "state" }, T.operator.show, filter),
        h("label", { htmlFor: "wanted" }, T.operator.find, wanted),
        h("button", { type: "submit" }, T.operator.open),
        replay,
      ),
      count,
      none,
      h(
        "div",
        { className: "scroll", tabIndex: 0, role: "region", aria: { label: T.operator.table } },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ...T.operator.columns.map((text) => h("th", { scope: "col" }, text)))),
          body,
        ),
      ),
      h("div", { className: "buttons" }, more),
    ),
    section(
      "figures",
      T.operator.figures,
      null,
      h("p", { className: "soft" }, T.operator.since),
      charts.node,
    ),
  );

  function tell(problem) {
    notice(problem.text ?? problem.message, "bad");
  }

  async function look() {
    clearTimeout(timer);
    try {
      if (!document.hidden) await read();
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) return isOver || refused(problem);
      setText(count, problem.message);
    }
    if (!isOver) timer = setTimeout(look, LOOK_MS);
  }

  async function read() {
    const [ready, { tree, found, hasMore }] = await Promise.all([
      api.readiness(),
      connections(filter.value, shown),
    ]);
    if (isOver) return;
    showParts(parts, ready.parts, tree);
    showTotals(totals, tree.totals);
    follow(
      body,
      rows,
      found,
      (one) => one.connection_id,
      () => row(look),
    );
    none.hidden = found.length > 0;
    more.hidden = !hasMore;
    setText(count, T.operator.shown(found.length, tree.totals.connections + tree.totals.quarantined));
  }

  async function replayAll() {
    const isSure = await ask({
      title: T.operator.replayTitle,
      lines: [T.operator.replayText],
      yes: T.operator.replayAll,
      no: T.cancel,
    });
    if (!isSure) return;
    const { queued } = await api.retryFailed();
    notice(T.operator.replayed(queued), "good");
    await look();
  }

  function find(event) {
    event.preventDefault();
    const id = wanted.value.trim();
    if (id) openConnection(id, look);
  }

  look();
  return () => {
    isOver = true;
    clearTimeout(timer);
    charts.stop();
  };
}

function section(id, title, bar, ...children) {
  const head = h("h2", { id: `${id}-title` }, title);
  return h(
    "section",
    { aria: { labelledby: `${id}-title` } },
    h("div", { className: "bar" }, head, bar),
    ...children,
  );
}

/** One page of connections: of one state, or state by state until the page is full. */
async function connections(state, limit) {
  const first = await api.actors({ status: state || STATES[0], limit });
  const pages = [first];
  const count = () => pages.reduce((sum, page) => sum + connectionsOf(page).length, 0);
  for (const next of state ? [] : STATES.slice(1)) {
    const left = limit - count();
    if (left <= 0) break;
    if (first.totals[next] > 0) pages.push(await api.actors({ status: next, limit: left }));
  }
  const found = pages.flatMap((page) => connectionsOf(page).sort((one, other) => lag(other) - lag(one)));
  // A connection that moved from one state to another between two questions is in both.
  const unique = [...new Map(found.map((one) => [one.connection_id, one])).values()];
  const all = state ? first.totals[state] : first.totals.connections + first.totals.quarantined;
  return { tree: first, found: unique, hasMore: all > unique.length && Boolean(limit < 1000) };
}

const lag = (one) => one.lag_seconds ?? 0;

function showParts(list, ready, tree) {
  const actors = tree.children.filter((child) => child.kind !== "connections");
  const items = [
    ...ready.map(({ name, ok, detail }) => ({
      name: T.operator.parts[name] ?? name,
      kind: ok ? "good" : "bad",
      text: detail,
    })),
    ...actors
      .filter(({ kind }) => kind === "node")
      .map((node) => ({ name: T.operator.node(node.id), kind: "good", text: node.state })),
  ];
  list.replaceChildren(
    ...items.map(({ name, kind, text }) =>
      h("li", {}, h("span", { className: `state ${kind}` }, name), h("span", { className: "soft" }, text)),
    ),
  );
}

function showTotals(list, totals) {
  const items = [
    ...STATES.map((state) => [
      T.operator.states[state],
      totals[state],
      NEEDS_SOMEBODY.includes(state) && totals[state] > 0 ? KIND[state] : "",
    ]),
    [T.operator.restarts, totals.restarts, ""],
    [T.operator.worstLag, T.operator.seconds(totals.worst_lag_seconds), ""],
  ];
  list.replaceChildren(
    ...items.map(([name, value, kind]) =>
      h(
        "div",
        { className: kind },
        h("dt", {}, name),
        h("dd", {}, String(value.toLocaleString?.() ?? value)),
      ),
    ),
  );
}

function row(refresh) {
  let id = "";
  const cells = {
    id: button("", () => openConnection(id, refresh), "link"),
    state: h("span"),
    lag: h("span"),
    progress: h("span"),
    restarts: h("span"),
    error: h("span"),
  };
  const node = h(
    "tr",
    {},
    h("th", { scope: "row" }, cells.id),
    ...["state", "lag", "progress", "restarts", "error"].map((name) => h("td", {}, cells[name])),
  );
  const update = (one) => {
    id = one.connection_id;
    setText(cells.id, id);
    setText(cells.state, T.operator.states[one.state] ?? one.state);
    setClass(cells.state, `chip ${KIND[one.state] ?? "soft"}`);
    setText(cells.lag, lag(one) > 0 ? T.operator.seconds(lag(one)) : "–");
    setText(cells.progress, one.last_progress_at ? ago(one.last_progress_at) : "–");
    setText(cells.restarts, String(one.restarts));
    const until = one.limiter?.blocked_until;
    const blocked = until && new Date(until) > Date.now() ? T.operator.blocked(clock(until)) : "";
    setText(cells.error, one.last_error ?? blocked);
  };
  return { node, update };
}
