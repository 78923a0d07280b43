// Figures of the last hour, gathered while the page is open.
//
// The daemon keeps no history: that is Prometheus' work, and each node would have only its own. So
// what is charted begins when the view was first opened, and is gone with the page.

import * as api from "./api.js";

const EVERY_MS = 10_000;
const KEPT = (60 * 60 * 1000) / EVERY_MS;

/** The samples of the page, oldest first: `{ at, of }`, where `of(name, labels)` adds up what fits. */
export const samples = [];

/** Takes samples until the answered function is called. */
export function gather(tell, refused) {
  let isOver = false;
  let timer = 0;
  const take = async () => {
    try {
      const text = await api.metrics();
      if (isOver) return;
      samples.push({ at: Date.now(), of: reader(text) });
      if (samples.length > KEPT) samples.shift();
      tell();
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) refused(problem);
    }
    // Not before the last one ended.
    if (!isOver) timer = setTimeout(take, EVERY_MS);
  };
  take();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** Reads Prometheus' text once; only what is charted is kept. */
function reader(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels, value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (!name || !CHARTED.has(name)) continue;
    const pairs = Object.fromEntries(
      [...(labels ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]),
    );
    found.set(name, [...(found.get(name) ?? []), { pairs, value: Number(value) }]);
  }
  const fits = (pairs, wanted) =>
    Object.entries(wanted).every(([key, value]) => [value].flat().includes(pairs[key]));
  return (name, wanted = {}, combine = (one, other) => one + other) =>
    (found.get(name) ?? [])
      .filter(({ pairs }) => fits(pairs, wanted))
      .reduce((sum, { value }) => combine(sum, value), 0);
}

const CHARTED = new Set([
  "calendar_connections",
  "calendar_queue_jobs",
  "calendar_queue_oldest_due_age_seconds",
  "calendar_job_start_latency_seconds_sum",
  "calendar_job_start_latency_seconds_count",
  "calendar_provider_changes_total",
  "calendar_connection_waits_total",
]);

/** What a gauge was at each sample. */
export const level = (name, labels, combine) => (sample) => sample.of(name, labels, combine);

/** By how much a counter grew per minute since the sample before; a restart begins anew. */
export const rate = (name, labels) => (sample, before) => {
  if (!before) return null;
  const grown = sample.of(name, labels) - before.of(name, labels);
  return grown < 0 ? null : (grown * 60_000) / (sample.at - before.at);
};

/** The mean of a histogram since the sample before, in milliseconds; none if nothing was measured. */
export const mean = (name) => (sample, before) => {
  if (!before) return null;
  const count = sample.of(`${name}_count`) - before.of(`${name}_count`);
  const sum = sample.of(`${name}_sum`) - before.of(`${name}_sum`);
  return count > 0 ? (sum * 1000) / count : null;
};
