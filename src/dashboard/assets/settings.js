// The settings of one connection. Only what was changed is sent, and what it would do is shown first.

import * as api from "./api.js";
import { ask } from "./confirm.js";
import { busy, button, h, setText } from "./dom.js";
import { previewPane } from "./preview.js";
import { PROVIDERS, T } from "./texts.js";

const GENERAL = ["is_sync_enabled", "auto_create_events", "auto_update_events"];
const PRIVACY = ["include_client_details", "add_client_as_attendee"];
const TEMPLATES = ["event_title_template", "event_description_template"];
const LONGEST_TEMPLATE = 2000;
const PLACEHOLDERS = [
  "client_name",
  "client_email",
  "notes",
  "starts_at",
  "ends_at",
  "duration_minutes",
  "time_zone",
  "meeting_url",
  "location",
  "appointment_id",
];
const OF_CLIENT = PLACEHOLDERS.slice(0, 3);

/** Resolves to whether settings were saved, when the dialog is closed. */
export async function openSettings(connection) {
  let stored = connection;
  let isSaved = false;
  const fields = {};
  const errors = {};
  const problem = h("div", { className: "notice bad", role: "alert", hidden: true });
  const rewrites = h("p", { className: "soft", role: "status" });
  const save = h("button", { type: "submit", className: "main" }, T.settings.save);
  const preview = previewPane(connection, { problem: showFieldErrors, rewrites: showRewrites });

  const group = (title, ...children) => h("fieldset", {}, h("legend", {}, title), ...children);
  const form = h(
    "form",
    // No "change": it comes with the press on "Save", which would shrink away under the pointer.
    { noValidate: true, on: { submit, input: changed } },
    group(T.settings.general, ...GENERAL.map((name) => toggle(name)), calendarPicker()),
    group(
      T.settings.privacy,
      toggle(PRIVACY[0]),
      h("p", { className: "notice warn" }, T.settings.warning),
      toggle(PRIVACY[1], T.settings.attendee[connection.provider]),
    ),
    group(T.settings.templates, ...TEMPLATES.map(template)),
  );
  const dialog = h(
    "dialog",
    { className: "wide", aria: { labelledby: "settings-title" } },
    h(
      "header",
      {},
      h("h2", { id: "settings-title" }, T.settings.title),
      h("p", { className: "soft" }, `${PROVIDERS[connection.provider]?.name} · ${connection.account_email}`),
    ),
    h("div", { className: "columns" }, form, preview.node),
    h(
      "footer",
      {},
      problem,
      h(
        "div",
        { className: "bar" },
        rewrites,
        h("div", { className: "buttons" }, button(T.cancel, leave), save),
      ),
    ),
  );
  save.addEventListener("click", (event) => submit(event));

  function toggle(name, extra) {
    const [label, hint] = T.settings.switches[name];
    fields[name] = h("input", { type: "checkbox", id: name, aria: { describedby: `${name}-hint` } });
    return h(
      "div",
      { className: "switch" },
      fields[name],
      h("label", { htmlFor: name }, label),
      h("small", { id: `${name}-hint` }, extra ? `${hint} ${extra}` : hint),
    );
  }

  function calendarPicker() {
    fields.calendar_id = h("select", {
      id: "calendar_id",
      aria: { describedby: "calendar_id-hint calendar_id-error" },
    });
    errors.calendar_id = h("small", { id: "calendar_id-error", className: "bad" });
    return h(
      "div",
      { className: "field" },
      h("label", { htmlFor: "calendar_id" }, T.settings.calendar),
      fields.calendar_id,
      h("small", { id: "calendar_id-hint" }, T.settings.calendarHint),
      errors.calendar_id,
    );
  }

  function template(name) {
    const isLong = name === "event_description_template";
    const label = T.settings.fields[name];
    const text = {
      id: name,
      maxLength: LONGEST_TEMPLATE,
      autocomplete: "off",
      aria: { describedby: `${name}-error` },
    };
    const field = isLong ? h("textarea", { ...text, rows: 4 }) : h("input", { ...text, type: "text" });
    fields[name] = field;
    errors[name] = h("small", { id: `${name}-error`, className: "bad" });
    const buttons = PLACEHOLDERS.map((placeholder) => {
      const node = button(`{${placeholder}}`, () => insert(field, `{${placeholder}}`), "chip");
      node.setAttribute("aria-label", T.settings.insert(placeholder, label));
      if (OF_CLIENT.includes(placeholder)) node.title = T.settings.clientOnly;
      return node;
    });
    return h(
      "div",
      { className: "field" },
      h("label", { htmlFor: name }, label),
      field,
      errors[name],
      h(
        "details",
        { className: "placeholders" },
        h("summary", {}, T.settings.placeholders),
        h("div", { className: "buttons" }, ...buttons),
      ),
    );
  }

  function insert(field, text) {
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    changed();
  }

  function fill() {
    for (const name of [...GENERAL, ...PRIVACY]) fields[name].checked = stored[name];
    for (const name of TEMPLATES) fields[name].value = stored[name];
    offer([{ id: stored.calendar_id, name: stored.calendar_name }], stored.calendar_id);
    tell("");
    changed();
  }

  function offer(calendars, selected) {
    fields.calendar_id.replaceChildren(
      ...calendars.map(({ id, name, primary }) =>
        h("option", { value: id }, primary ? T.settings.primary(name) : name),
      ),
    );
    fields.calendar_id.value = selected;
  }

  async function loadCalendars() {
    try {
      const { calendars } = await api.calendars(stored.id);
      offer(calendars, fields.calendar_id.value || stored.calendar_id);
    } catch (problem) {
      setText(errors.calendar_id, T.settings.calendarsMissing(problem.text));
    }
  }

  function changes() {
    const now = {};
    for (const name of [...GENERAL, ...PRIVACY]) now[name] = fields[name].checked;
    for (const name of TEMPLATES) now[name] = fields[name].value;
    // A list of calendars that is not there yet is no choice.
    now.calendar_id = fields.calendar_id.value || stored.calendar_id;
    return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== stored[name]));
  }

  function changed() {
    fields.add_client_as_attendee.disabled = !fields.include_client_details.checked;
    preview.show(changes());
  }

  function showFieldErrors(found) {
    for (const [name, node] of Object.entries(errors)) {
      const mistake = found.find(({ pointer }) => pointer === `/${name}`);
      setText(node, mistake?.detail ?? "");
      if (mistake) fields[name].setAttribute("aria-invalid", "true");
      else fields[name].removeAttribute("aria-invalid");
    }
  }

  function showRewrites(count) {
    const hasChanges = Object.keys(changes()).length > 0;
    setText(save, count > 0 ? T.settings.saveRewriting(count) : T.settings.save);
    const sentence = count > 0 ? T.settings.rewrites(count) : T.settings.rewritesNone;
    setText(rewrites, hasChanges && count !== null ? sentence : "");
  }

  async function submit(event) {
    event.preventDefault();
    const now = changes();
    if (Object.keys(now).length === 0) return dialog.close();
    await busy(
      save,
      async () => {
        await api.change(stored.id, now, stored.etag);
        isSaved = true;
        dialog.close();
      },
      (problem) => {
        if (problem.code === "precondition_failed")
          return tell(T.settings.conflict, button(T.settings.reload, reload));
        showFieldErrors(problem.errors);
        tell(problem.text);
      },
    );
  }

  async function reload() {
    const { connections } = await api.connections(stored.coach_id);
    const present = connections.find((one) => one.id === stored.id);
    if (!present) return dialog.close();
    stored = present;
    fill();
    loadCalendars();
  }

  function tell(text, action) {
    problem.hidden = !text;
    problem.replaceChildren(...(text ? [h("p", {}, text), action].filter(Boolean) : []));
  }

  /** Leaves, unless there is something to lose and the coach wants to keep it. */
  async function leave() {
    const isSure =
      Object.keys(changes()).length === 0 ||
      (await ask({
        title: T.settings.discardTitle,
        lines: [T.settings.discard],
        yes: T.settings.discardOk,
        no: T.settings.discardKeep,
      }));
    if (isSure) dialog.close();
  }

  const warn = (event) => {
    if (Object.keys(changes()).length > 0) event.preventDefault();
  };
  addEventListener("beforeunload", warn);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  document.body.append(dialog);
  fill();
  dialog.showModal();
  loadCalendars();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  removeEventListener("beforeunload", warn);
  preview.stop();
  dialog.remove();
  return isSaved;
}
