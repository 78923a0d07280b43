// Which figures of the last hour are charted.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { gather, level, mean, rate, samples } from "./metrics.js";
import { T } from "./texts.js";

const LARGEST = (one, other) => Math.max(one, other);
const CHARTS = [
  {
    title: T.operator.charts.parked,
    unit: T.operator.units.connections,
    lines: ["needs_reauth", "quarantined"].map((status) => ({
      name: T.operator.connectionStates[status],
      of: level("calendar_connections", { status }),
    })),
  },
  {
    title: T.operator.charts.depth,
    unit: T.operator.units.jobs,
    lines: ["pending", "processing", "failed"].map((status) => ({
      name: T.operator.jobStates[status],
      of: level("calendar_queue_jobs", { status }),
    })),
  },
  {
    title: T.operator.charts.age,
    unit: T.operator.units.seconds,
    lines: [
      { name: T.operator.charts.oldest, of: level("calendar_queue_oldest_due_age_seconds", {}, LARGEST) },
    ],
  },
  {
    title: T.operator.charts.latency,
    unit: T.operator.units.ms,
    lines: [{ name: T.operator.charts.mean, of: mean("calendar_job_start_latency_seconds") }],
  },
  {
    title: T.operator.charts.calls,
    unit: T.operator.units.perMinute,
    lines: [
      { name: T.operator.charts.ok, of: rate("calendar_provider_changes_total", { outcome: "ok" }) },
      {
        name: T.operator.charts.notOk,
        of: (sample, before) => {
          const all = rate("calendar_provider_changes_total", {})(sample, before);
          const ok = rate("calendar_provider_changes_total", { outcome: "ok" })(sample, before);
          return all === null || ok === null ? null : all - ok;
        },
      },
    ],
  },
  {
    title: T.operator.charts.waits,
    unit: T.operator.units.perMinute,
    lines: [
      { name: T.operator.charts.limit, of: rate("calendar_connection_waits_total", { reason: "limit" }) },
      { name: T.operator.charts.outage, of: rate("calendar_connection_waits_total", { reason: "outage" }) },
    ],
  },
];

/** The charts; they are drawn until `stop` is called. */
export function figures(refused) {
  const charts = CHARTS.map(chart);
  const draw = () => charts.forEach((one) => one.draw(samples));
  charts.forEach((one) => one.onOpen(draw));
  const node = h("div", { className: "charts" }, ...charts.map((one) => one.node));
  const stop = gather(draw, refused);
  draw();
  return { node, stop };
}
