// Times as people read them, in the language of the browser.

const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DAY = { weekday: "short", day: "numeric", month: "short" };
const NEAR_MS = 120_000;
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "2 minutes ago"; what is a moment away is "just now". */
export function ago(text, now = Date.now()) {
  const seconds = (new Date(text) - now) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return RELATIVE.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

/** The hour, with seconds where they matter, and the day where it is not today's. */
export function clock(text) {
  const at = new Date(text);
  const isNear = Math.abs(at - Date.now()) < NEAR_MS;
  const time = at.toLocaleTimeString([], isNear ? { ...CLOCK, second: "2-digit" } : CLOCK);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? time : `${at.toLocaleDateString([], DAY)}, ${time}`;
}

/** A sentence of the API with its instants as the reader's clock shows them. */
export function localTimes(sentence) {
  return sentence.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, clock);
}

export function moment(text) {
  return text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

/** Start and end; in the time zone of whoever looks, unless one is named. */
export function span(starts, ends, timeZone) {
  const [start, end] = [new Date(starts), new Date(ends)];
  const times = [start, end].map((at) => at.toLocaleTimeString([], { ...CLOCK, timeZone }));
  return `${start.toLocaleDateString([], { ...DAY, timeZone })}, ${times.join("\u2013")}`;
}

export function hour(text, timeZone) {
  return new Date(text).toLocaleString([], { weekday: "short", ...CLOCK, timeZone });
}

export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The day of an instant where the reader is, as a date field holds it. */
export function day(at) {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 10);
}
