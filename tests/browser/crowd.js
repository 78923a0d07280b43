// How the operator's view fares with 100,000 connections, of which 10,000 are set aside. Tells figures;
// not part of the stories.
//
//   tests/browser/run crowd.js

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, launch, stands, visit } from "./browser.js";
import { eventually, startDemo } from "./demo.js";

const CONNECTIONS = 100_000;
/** The demo writes in between. */
const ROWS_AT_ONCE = 10_000;
const SET_ASIDE = 10_000;
const GOOGLE = "amy@example.com";
/** The page looks every three seconds. */
const LOOKS = 5;
let browser, demo, tab, page;

/** So many rows like the first one of a table, changed. */
const copies = (table, name, count, change) => [
  `CREATE TEMP TABLE ${name} AS
     WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
     SELECT first.* FROM (SELECT * FROM ${table} LIMIT 1) first, numbers`,
  `UPDATE ${name} SET ${change}`,
  ...Array.from({ length: Math.ceil(count / ROWS_AT_ONCE) }, (_, part) => {
    const rows = `${part * ROWS_AT_ONCE + 1} AND ${(part + 1) * ROWS_AT_ONCE}`;
    return `INSERT INTO ${table} SELECT * FROM ${name} WHERE rowid BETWEEN ${rows}`;
  }),
];
const nth = (of, by) => `(SELECT id FROM crowd WHERE crowd.rowid = ${by} % ${of} + 1)`;

const CROWD = [
  ...copies(
    "coach_calendar_connections",
    "crowd",
    CONNECTIONS,
    `id = randomblob(16), coach_id = randomblob(16), account_id = hex(randomblob(8)),
     status = iif(rowid <= ${SET_ASIDE}, 'quarantined', 'active')`,
  ),
  ...copies(
    "connection_leases",
    "leases",
    CONNECTIONS,
    `connection_id = ${nth(CONNECTIONS, "(leases.rowid - 1)")}, node = NULL, expires_at = NULL, due_at = NULL`,
  ),
  ...copies(
    "calendar_sync_queue",
    "jobs",
    CONNECTIONS,
    `id = randomblob(16), appointment_id = randomblob(16), sync_id = NULL,
     connection_id = ${nth(CONNECTIONS, "jobs.rowid")}`,
  ),
  ...copies(
    "audit_events",
    "audits",
    CONNECTIONS,
    `id = randomblob(16), coach_id = NULL, connection_id = ${nth(CONNECTIONS, "audits.rowid")}`,
  ),
];
before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  tab = await visit(browser, demo, {});
  page = tab.page;
  await page.goto(demo.link("coach", "operator"));
  await connect(page, demo, "Google Calendar", GOOGLE);
  await stands(page, GOOGLE, "In step.");
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** Opens the operator's view anew and stays for some looks; tells what took how long. */
async function watch(what) {
  await page.goto("about:blank");
  await page.goto(demo.link("operator"));
  await page.locator("tbody tr").first().waitFor();
  const rows = await page.evaluate(() => performance.now());
  const interactive = await page.evaluate(() => performance.getEntriesByName("interactive")[0].startTime);
  const looks = () => page.evaluate(() => performance.getEntriesByName(`${origin}/health/ready`).length);
  await eventually("it has looked often enough", async () => (await looks()) >= LOOKS);
  console.log(`${what}: interactive after ${interactive.toFixed()} ms, first rows after ${rows.toFixed()} ms`);
  await tellCalls();
}

/** By address: how many calls, the median, and the longest. */
async function tellCalls() {
  const calls = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter(({ initiatorType }) => initiatorType === "fetch")
      .map(({ name, duration, decodedBodySize }) => ({ name, duration, size: decodedBodySize })),
  );
  const nameOf = ({ name }) =>
    new URL(name).pathname.replace("/api/calendar-integration", "").replace(/[0-9a-f-]{36}/, "{id}") +
    (/status=\w+/.exec(name)?.[0].replace("status", "?status") ?? "");
  for (const [name, all] of grouped(calls, nameOf)) {
    const took = all.map(({ duration }) => duration).sort((one, other) => one - other);
    const size = Math.max(...all.map((call) => call.size));
    console.log(
      `  ${name}: ${took.length} calls, median ${took[took.length >> 1].toFixed()} ms, ` +
        `longest ${took.at(-1).toFixed()} ms, ${size} bytes`,
    );
  }
}

const grouped = (items, keyOf) =>
  items.reduce((map, item) => map.set(keyOf(item), [...(map.get(keyOf(item)) ?? []), item]), new Map());

const totals = async () =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll(".totals > div")].map((node) => [
        node.querySelector("dt").textContent,
        Number(node.querySelector("dd").textContent.replaceAll(",", "")),
      ]),
    ),
  );

async function drill() {
  await page.evaluate(() => performance.clearResourceTimings());
  const begun = performance.now();
  await page.locator("tbody .link").nth(1).click();
  const dialog = page.getByRole("dialog", { name: "Connection" });
  await dialog.getByRole("row", { name: "completed" }).first().waitFor();
  console.log(`drill-down: shown after ${(performance.now() - begun).toFixed()} ms`);
  await tellCalls();
  await dialog.getByRole("button", { name: "Close" }).click();
}

test("alone", async () => {
  await page.getByRole("button", { name: "Operator" }).click();
  await page.getByRole("heading", { name: "This node" }).waitFor();
  await watch("1 connection");
});

test("with a crowd", async () => {
  demo.tamper(...CROWD);
  await watch(`${CONNECTIONS} connections, ${SET_ASIDE} set aside`);
  assert.equal((await totals()).quarantined, SET_ASIDE);
  await drill();
});
