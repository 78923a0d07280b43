// A line chart, drawn with SVG, and the same as a table for those who read.

import { h, setText } from "./dom.js";
import { clock } from "./format.js";
import { T } from "./texts.js";

const WIDTH = 320;
const HEIGHT = 96;
const SHOWN_MS = 60 * 60 * 1000;
const ROWS = 30;
const NS = "http://www.w3.org/2000/svg";

const figure = (value) =>
  value === null ? "–" : value.toLocaleString([], { maximumFractionDigits: value < 10 ? 1 : 0 });

/** `lines` are `{ name, of(sample, before) }`; of `unit` the figures are. */
export function chart({ title, unit, lines }) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const paths = lines.map((_, position) => {
    const path = document.createElementNS(NS, "path");
    path.setAttribute("class", `line line-${position + 1}`);
    svg.append(path);
    return path;
  });
  const legend = lines.map(({ name }, position) => {
    const now = h("strong");
    return { now, node: h("li", {}, h("span", { className: `key line-${position + 1}` }), `${name} `, now) };
  });
  const most = h("p", { className: "soft" });
  const body = h("tbody");
  const table = h(
    "details",
    {},
    h("summary", {}, T.operator.asTable),
    h("div", { className: "scroll", tabIndex: 0, role: "region", aria: { label: title } }, rowsOf()),
  );
  const node = h(
    "figure",
    { className: "panel" },
    h("figcaption", {}, h("h3", {}, title), most),
    svg,
    h("ul", { className: "legend" }, ...legend.map((one) => one.node)),
    table,
  );

  function rowsOf() {
    const heads = [T.operator.time, ...lines.map(({ name }) => name)];
    return h(
      "table",
      {},
      h("caption", { className: "soft" }, unit),
      h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
      body,
    );
  }

  function draw(samples) {
    const series = lines.map(({ of }) =>
      samples.map((sample, position) => of(sample, samples[position - 1])),
    );
    const top = Math.max(1, ...series.flat().filter((value) => value !== null));
    const end = samples.at(-1)?.at ?? Date.now();
    // A young page would draw a dot: the axis is as long as what there is, up to an hour.
    const length = Math.min(SHOWN_MS, Math.max(60_000, end - (samples[0]?.at ?? end)));
    const x = (at) => WIDTH - ((end - at) / length) * WIDTH;
    const y = (value) => HEIGHT - 4 - (value / top) * (HEIGHT - 8);
    series.forEach((values, line) => {
      let isPen = false;
      const steps = values.map((value, position) => {
        if (value === null) return ((isPen = false), "");
        const step = `${isPen ? "L" : "M"}${x(samples[position].at).toFixed(1)} ${y(value).toFixed(1)}`;
        isPen = true;
        return step;
      });
      paths[line].setAttribute("d", steps.join(""));
      setText(legend[line].now, figure(values.at(-1) ?? null));
    });
    setText(most, T.operator.upTo(figure(top), unit));
    if (table.open) list(samples, series);
  }

  function list(samples, series) {
    const rows = samples
      .map((sample, position) => [clock(sample.at), ...series.map((values) => figure(values[position]))])
      .slice(-ROWS)
      .reverse();
    body.replaceChildren(
      ...rows.map(([time, ...values]) =>
        h("tr", {}, h("th", { scope: "row" }, time), ...values.map((text) => h("td", {}, text))),
      ),
    );
  }
  return { node, draw, onOpen: (redraw) => table.addEventListener("toggle", redraw) };
}
