// The event as it would appear under settings that are not saved, in both privacy modes.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import { span } from "./format.js";
import { T } from "./texts.js";

/** While somebody types, nothing is asked. */
const PAUSE_MS = 300;

/**
 * `tell.problem(errors)` hears what is wrong with fields, `tell.rewrites(count)` what saving rewrites:
 * null while that is not known.
 */
export function previewPane(connection, tell) {
  let timer = 0;
  let asking = new AbortController();
  const of = h("p", { className: "soft" });
  const modes = { details_off: event("details_off"), details_on: event("details_on") };
  const why = h("p", { className: "notice warn", role: "status", hidden: true });
  const failed = h("p", { className: "notice bad", role: "status", hidden: true });
  const node = h(
    "section",
    { className: "preview", aria: { labelledby: "preview-title" } },
    h("h3", { id: "preview-title" }, T.preview.title),
    of,
    failed,
    why,
    modes.details_off.node,
    modes.details_on.node,
  );

  function show(changes) {
    clearTimeout(timer);
    asking.abort();
    asking = new AbortController();
    tell.rewrites(null);
    timer = setTimeout(() => ask(changes, asking.signal), PAUSE_MS);
  }

  async function ask(changes, signal) {
    try {
      const shown = await api.preview(connection.id, changes, signal);
      if (signal.aborted) return;
      tell.problem([]);
      tell.rewrites(shown.rewritten_events);
      draw(shown);
    } catch (problem) {
      if (signal.aborted) return;
      tell.problem(problem.errors ?? []);
      tell.rewrites(null);
      failed.hidden = problem.errors?.length > 0;
      setText(failed, T.preview.unavailable(problem.message));
    }
  }

  function draw(shown) {
    failed.hidden = true;
    setText(failed, "");
    why.hidden = !shown.not_written_because;
    setText(why, shown.not_written_because ?? "");
    const { starts_at: starts, ends_at: ends, time_zone: zone } = shown.details_off;
    setText(of, shown.is_example ? T.preview.example : T.preview.of(span(starts, ends, zone)));
    for (const [name, mode] of Object.entries(modes)) {
      mode.draw(shown[name], (name === "details_on") === shown.include_client_details);
    }
  }

  return {
    node,
    show,
    stop: () => {
      clearTimeout(timer);
      asking.abort();
    },
  };
}

function event(name) {
  const force = h("p", { className: "force" });
  const title = h("p", { className: "title" });
  const when = h("dd");
  const where = h("dd");
  const guests = h("dd");
  const description = h("p", { className: "description" });
  const note = h("p", { className: "soft" });
  const term = (text, value) => [h("dt", {}, text), value];
  const node = h(
    "article",
    { className: "event" },
    h("h4", {}, T.preview[name]),
    force,
    title,
    h(
      "dl",
      {},
      ...term(T.preview.when, when),
      ...term(T.preview.where, where),
      ...term(T.preview.guests, guests),
    ),
    description,
    note,
  );
  const draw = (shown, isInForce) => {
    node.classList.toggle("in-force", isInForce);
    setText(force, isInForce ? T.preview.inForce : T.preview.other);
    setText(title, shown.title || T.preview.noTitle);
    setText(when, `${span(shown.starts_at, shown.ends_at, shown.time_zone)} (${shown.time_zone})`);
    setText(where, shown.location ?? "–");
    const names = shown.attendees.map((guest) => `${guest.name} <${guest.email}>`);
    setText(guests, names.join(", ") || T.preview.noGuests);
    setText(description, shown.description);
    setText(note, shown.guest_note ?? "");
  };
  return { node, draw };
}
