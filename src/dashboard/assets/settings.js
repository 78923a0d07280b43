// The settings of one connection. Only what was changed is sent.

import * as api from "./api.js";
import { element } from "./dom.js";
import { PROVIDERS, problemText } from "./words.js";

const SWITCHES = [
  "is_sync_enabled",
  "auto_create_events",
  "auto_update_events",
  "include_client_details",
  "add_client_as_attendee",
];
const TEMPLATES = ["event_title_template", "event_description_template"];

const ATTENDEE = {
  google: "While client details are shown. Google sends no invitation.",
  outlook: "While client details are shown. Outlook mails every guest an invitation and cannot be told not to.",
};

const dialog = document.getElementById("settings");
const form = dialog.querySelector("form");
const part = (name) => dialog.querySelector(`[data-part="${name}"]`);

/** Resolves when the dialog is closed, saved or not. */
export async function openSettings(connection) {
  part("account").textContent =
    `${PROVIDERS[connection.provider] ?? connection.provider}: ${connection.account_email}`;
  part("attendee").textContent = ATTENDEE[connection.provider] ?? "";
  tell(null);
  for (const name of SWITCHES) form.elements[name].checked = connection[name];
  for (const name of TEMPLATES) form.elements[name].value = connection[name];
  const shown = { id: connection.calendar_id, name: connection.calendar_name };
  offer([shown], connection.calendar_id);

  const ended = new AbortController();
  const { signal } = ended;
  form.addEventListener("submit", (event) => save(event, connection), { signal });
  form.querySelector('[value="cancel"]').addEventListener("click", () => dialog.close(), { signal });
  dialog.showModal();
  loadCalendars(connection, signal);
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  ended.abort();
}

async function loadCalendars(connection, signal) {
  try {
    const { calendars } = await api.calendars(connection.id);
    if (!signal.aborted) offer(calendars, form.elements.calendar_id.value);
  } catch (problem) {
    if (!signal.aborted) tell(`The list of calendars is not available: ${problemText(problem)}`);
  }
}

function offer(calendars, selected) {
  const options = calendars.map(({ id, name, primary }) =>
    element("option", { value: id, selected: id === selected }, primary ? `${name} (primary)` : name),
  );
  form.elements.calendar_id.replaceChildren(...options);
  form.elements.calendar_id.value = selected;
}

function changes(connection) {
  const changed = {};
  for (const name of SWITCHES) {
    if (form.elements[name].checked !== connection[name]) changed[name] = form.elements[name].checked;
  }
  for (const name of [...TEMPLATES, "calendar_id"]) {
    const value = form.elements[name].value;
    if (value && value !== connection[name]) changed[name] = value;
    // An empty template is a wish like any other; an empty choice of calendar is none.
    if (!value && name !== "calendar_id" && connection[name]) changed[name] = "";
  }
  return changed;
}

async function save(event, connection) {
  event.preventDefault();
  const changed = changes(connection);
  if (Object.keys(changed).length === 0) {
    dialog.close();
    return;
  }
  const button = form.querySelector('[type="submit"]');
  button.disabled = true;
  try {
    await api.change(connection.id, changed);
    dialog.close();
  } catch (problem) {
    tell(problemText(problem));
  } finally {
    button.disabled = false;
  }
}

function tell(text) {
  part("problem").textContent = text ?? "";
  part("problem").hidden = !text;
}
