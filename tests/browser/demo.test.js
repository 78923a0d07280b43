// The demo as it opens: the dashboard, the calendars beside it, and trouble at a button.

import { after, before, test } from "node:test";
import { connect, launch, visit } from "./browser.js";
import { startDemo } from "./demo.js";

const GOOGLE = "amy@example.com";
let browser, demo, tab, page;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  // "Sync now" may come while the last one is under way.
  tab = await visit(browser, demo, { width: 1800, refusals: [409] });
  page = tab.page;
  await page.goto(demo.link("coach"));
  await connect(page, demo, "Google Calendar", GOOGLE);
  await page.goto(demo.stage);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

const dashboard = () => page.frameLocator("#dashboard");
const calendars = () => page.frameLocator("iframe:not(#dashboard)");
const google = (what) =>
  calendars().locator("form", { hasText: "Google" }).getByRole("button", { name: what });
const stands = (text) => dashboard().locator(".state", { hasText: text }).waitFor();

test("it opens signed in, with the week beside it and a switch of views", async () => {
  await stands("In step.");
  await calendars().locator(".event").first().waitFor();
  await dashboard().getByRole("button", { name: "Operator" }).click();
  await dashboard().getByRole("heading", { name: "This node" }).waitFor();
  await dashboard().getByRole("button", { name: "Coach" }).click();
  await stands("In step.");
  await tab.isAccessible("demo");
  await tab.shot("40-demo");
});

test("an outage is made, seen, and ended", async () => {
  await google("Outage").click();
  await dashboard().getByRole("button", { name: "Sync now" }).click();
  await stands("has a problem, next attempt");
  await tab.shot("41-outage");
  await calendars().getByRole("button", { name: "End all trouble" }).click();
  await stands("In step.");
});

test("lost answers leave no event twice", async () => {
  await google("Lose answers").click();
  const { id, ...body } = demo.appointment(60, "Lou Lost");
  await demo.api("PUT", `appointments/${id}`, body);
  await stands("has a problem, next attempt");
  await stands("In step.");
  const { duplicates } = await demo.control("GET", "duplicates");
  if (duplicates.length > 0) throw new Error(JSON.stringify(duplicates));
});

test("a revoked grant asks for a new sign-in", async () => {
  await google("Revoke the grant").click();
  await dashboard().getByRole("button", { name: "Sync now" }).click();
  await stands("asks you to sign in again");
  await tab.shot("42-revoked");
});

test("nothing went wrong on the way", () => tab.isClean());
