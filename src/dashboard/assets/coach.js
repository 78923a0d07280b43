// The coach's view: connected calendars, and the appointments they show.

import * as api from "./api.js";
import { appointmentList } from "./appointments.js";
import { card } from "./card.js";
import { busy, button, follow, h, setText } from "./dom.js";
import { watch } from "./live.js";
import { notice } from "./notices.js";
import { coachId } from "./session.js";
import { PROVIDERS, T } from "./texts.js";

/** How often a connection with open work is asked for what is open. */
const DETAILS_MS = 2_000;
const APPOINTMENTS_MS = 10_000;

/** Fills `main`; answers the function that ends it. */
export function open(main, refused) {
  const coach = coachId();
  const cards = new Map();
  const asked = new Map();
  let connections = [];
  let told = "";
  let stop = () => {};
  const list = h("ul", { className: "cards" });
  const none = h("p", { className: "empty", hidden: true }, T.calendars.none);
  const mode = h("p", { className: "mode soft", role: "status" });
  const appointments = appointmentList(coach, () => connections);

  const page = {
    connect: (provider) => connect(provider, coach),
    refresh: async () => {
      const answer = await api.connections(coach).catch(() => null);
      if (answer) show(answer.connections);
    },
  };

  function show(all) {
    const before = new Map(connections.map((one) => [one.id, one]));
    connections = all;
    follow(
      list,
      cards,
      all,
      (one) => one.id,
      (one) => card(one, page),
    );
    none.hidden = all.length > 0;
    all.forEach((one) => details(one, before.get(one.id)));
    const now = all.map(({ freshness_seconds: _, updated_at: __, ...lasting }) => lasting);
    if (JSON.stringify(now) !== told) appointments.refreshSoon();
    told = JSON.stringify(now);
  }

  /** What is open or failed of a connection, where something is. */
  async function details(one, before) {
    const hadWork = before && before.pending + before.failed > 0;
    const isOpen = one.pending + one.failed > 0;
    if ((!isOpen && !hadWork) || performance.now() - (asked.get(one.id) ?? -Infinity) < DETAILS_MS * 0.9)
      return;
    asked.set(one.id, performance.now());
    const status = await api.syncStatus(one.id).catch(() => null);
    if (status) cards.get(one.id)?.details(status);
  }

  main.replaceChildren(
    h(
      "section",
      { aria: { labelledby: "calendars-title" } },
      h(
        "div",
        { className: "bar" },
        h(
          "div",
          {},
          h("h2", { id: "calendars-title" }, T.calendars.title),
          h("p", { className: "soft" }, T.calendars.lead),
        ),
        h(
          "div",
          { className: "buttons" },
          ...Object.keys(PROVIDERS).map((provider) => connectButton(provider, page)),
        ),
      ),
      none,
      list,
      mode,
    ),
    appointments.node,
  );
  stop = watch(coach, {
    connections: show,
    progress: (id, current) => cards.get(id)?.progress(current),
    ended: () => appointments.refreshSoon(),
    mode: (now) => setText(mode, now === "live" ? "" : now === "polling" ? T.live.polling : T.live.lost),
    refused,
  });
  // Sentences such as "2 minutes ago", and those that wait for a time.
  const timer = setInterval(() => {
    if (document.hidden) return;
    for (const one of connections) {
      cards.get(one.id)?.update(one);
      details(one);
    }
  }, DETAILS_MS);
  // Appointments that concern no calendar are told by nobody.
  const slow = setInterval(appointments.refreshSoon, APPOINTMENTS_MS);
  return () => {
    clearInterval(timer);
    clearInterval(slow);
    stop();
    appointments.stop();
  };
}

function connectButton(provider, page) {
  const node = button(T.calendars.connect(provider), () =>
    busy(
      node,
      () => page.connect(provider),
      (problem) => notice(problem.text, "bad"),
    ),
  );
  return node;
}

async function connect(provider, coach) {
  try {
    const { authorization_url: address } = await api.beginConnect(provider, coach);
    location.assign(address);
  } catch (problem) {
    const isOff = problem.code === "provider_not_configured";
    notice(isOff ? T.calendars.notConfigured(provider) : problem.text, "bad");
  }
}

/** Tells how a sign-in at a provider ended, once: the address is cleaned of it. */
export function tellOutcome() {
  const query = new URLSearchParams(location.search);
  const [error, provider] = [query.get("error"), query.get("provider")];
  if (query.get("success") === "connected") {
    notice(T.callback.connected(provider), "good");
  } else if (error) {
    const text = T.callback.errors[error] ?? T.callback.unknown;
    const again = { text: T.callback.again, run: () => connect(provider, coachId()) };
    notice(
      PROVIDERS[provider] ? `${PROVIDERS[provider].name}: ${text}` : text,
      "bad",
      PROVIDERS[provider] && again,
    );
  } else {
    return;
  }
  for (const name of ["success", "error", "provider", "connection_id"]) query.delete(name);
  const rest = query.size > 0 ? `?${query}` : "";
  history.replaceState(null, "", location.pathname + rest + location.hash);
}
