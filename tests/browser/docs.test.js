// The API's documentation: it shows every operation, and its console works under the strict policy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, visit } from "./browser.js";
import { startDemo } from "./demo.js";

let browser, demo;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

test("every operation is there, and one is tried out with a token", async () => {
  const tab = await visit(browser, demo);
  const { page } = tab;
  await page.goto(`${demo.root}docs`);
  await page.locator(".opblock").first().waitFor();
  const { paths } = await (await fetch(`${demo.root}openapi.json`)).json();
  const operations = Object.values(paths).flatMap((path) =>
    Object.values(path).filter((part) => part.operationId),
  );
  assert.equal(await page.locator(".opblock").count(), operations.length);
  await tab.shot("50-docs");

  const token = new URLSearchParams(new URL(demo.link("operator")).hash.slice(1)).get("token");
  await page.locator("button.authorize").first().click();
  await page.locator(".auth-container input").fill(token);
  await page.locator(".auth-btn-wrapper button.authorize").click();
  await page.locator(".auth-btn-wrapper button.btn-done").click();
  const audit = page.locator('.opblock[id$="-list_audit_events"]');
  await audit.locator(".opblock-summary-control").click();
  await audit.getByRole("button", { name: "Try it out" }).click();
  await audit.getByRole("button", { name: "Execute" }).click();
  const answer = audit.locator(".live-responses-table");
  await answer.getByText("200", { exact: true }).first().waitFor();
  await tab.shot("51-docs-answer");
  tab.isClean();
  await tab.close();
});
