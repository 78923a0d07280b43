// An operator: what runs, what failed, and another try.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, launch, stands, visit } from "./browser.js";
import { eventually, startDemo } from "./demo.js";

const GOOGLE = "amy@example.com";
let browser, demo, tab, page, connection;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  tab = await visit(browser, demo, {});
  page = tab.page;
  await page.goto(demo.link("coach", "operator"));
  await connect(page, demo, "Google Calendar", GOOGLE);
  await stands(page, GOOGLE, "In step.");
  connection = await page.locator(".card").getAttribute("data-connection");
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

const dialog = () => page.getByRole("dialog", { name: "Connection" });
const fail = () =>
  demo.control("POST", "faults", { provider: "google", effect: { kind: "status", status: 400 } });
const hasFailed = (id) =>
  eventually("it is given up", async () => {
    const { connections } = await demo.api("GET", `appointments/${id}`);
    return connections[0].sync_status === "failed";
  });

test("the switch leads from the coach's view to the operator's", async () => {
  await page.getByRole("button", { name: "Operator" }).click();
  await page.getByRole("heading", { name: "This node" }).waitFor();
  await page.getByText("Database", { exact: true }).waitFor();
  await tab.isAccessible("operator");
  await tab.shot("20-operator");
});

test("a connection is opened, with its jobs and its history", async () => {
  await page.getByLabel("Find by id").fill(connection);
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await dialog().getByText(`Google: ${GOOGLE}`).waitFor();
  await dialog().getByText("Connected").first().waitFor();
  await dialog().getByText("Access token ends").waitFor();
  await dialog()
    .getByRole("row", { name: /create completed/ })
    .first()
    .waitFor();
  await tab.isAccessible("drill-down");
  await tab.shot("21-drill-down");
});

test("a failed job is replayed", async () => {
  await fail();
  const { id, ...body } = demo.appointment(60, "Fay Failing");
  await demo.api("PUT", `appointments/${id}`, body);
  await hasFailed(id);
  const failed = dialog().locator(`tr[data-appointment="${id}"]`, { hasText: "failed" });
  await failed.waitFor();
  await tab.shot("22-failed");
  await demo.control("DELETE", "faults");
  await failed.getByRole("button", { name: "Retry" }).click();
  await dialog().getByText("tried again").waitFor();
  await eventually("it is in the calendar", async () =>
    (await demo.events("google", GOOGLE)).some((event) => event.appointment_id === id),
  );
  await dialog().getByRole("button", { name: "Close" }).click();
  await dialog().waitFor({ state: "detached" });
});

test("all failed jobs are replayed, after a question", async () => {
  await fail();
  const { id, ...body } = demo.appointment(90, "Flo Failing");
  await demo.api("PUT", `appointments/${id}`, body);
  await hasFailed(id);
  await demo.control("DELETE", "faults");
  await page.getByRole("button", { name: "Replay all failed" }).click();
  const question = page.getByRole("alertdialog");
  await question.getByRole("button", { name: "Replay all failed" }).click();
  await page.getByText("tried again.").waitFor();
  await eventually("it is in the calendar", async () =>
    (await demo.events("google", GOOGLE)).some((event) => event.appointment_id === id),
  );
});

test("a connection that was set aside comes first, and is released", async () => {
  // Nobody can open what is stored in the wrong place, until it is put back.
  const swap =
    "UPDATE coach_calendar_connections SET access_token = refresh_token, refresh_token = access_token, " +
    "token_version = token_version + 1";
  demo.tamper(swap);
  const { id, ...body } = demo.appointment(120, "Quinn Quarantined");
  await demo.api("PUT", `appointments/${id}`, body);
  const row = page.locator("tbody tr", { hasText: connection }).first();
  await row.locator(".chip", { hasText: "quarantined" }).waitFor();
  await tab.isAccessible("a quarantine");
  await tab.shot("23-quarantined");
  await row.getByRole("button", { name: connection }).click();
  const release = dialog().getByRole("button", { name: "Release quarantine" });
  await release.waitFor();
  await dialog().getByText("quarantined: ").waitFor();
  demo.tamper(swap);
  await release.click();
  await dialog().getByText("It is tried again now.").waitFor();
  await release.waitFor({ state: "hidden" });
  await eventually("it is in the calendar", async () =>
    (await demo.events("google", GOOGLE)).some((event) => event.appointment_id === id),
  );
  await tab.shot("24-released");
  await dialog().getByRole("button", { name: "Close" }).click();
  await dialog().waitFor({ state: "detached" });
});

test("figures are drawn, and are there as tables", async () => {
  const depth = page.locator("figure", { hasText: "Queue depth" });
  await depth.getByText("As a table").click();
  await depth.getByRole("row").nth(1).waitFor();
  assert.match(await depth.locator("path").first().getAttribute("d"), /^M/);
  const parked = page.locator("figure", { hasText: "Connections that do not sync" });
  await parked.getByText("As a table").click();
  await parked.getByRole("columnheader", { name: "wait for their coach to sign in" }).waitFor();
  await tab.isAccessible("figures");
  await tab.shot("25-figures");
});

test("nothing went wrong on the way", () => tab.isClean());
