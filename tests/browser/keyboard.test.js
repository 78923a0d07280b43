// The whole way without a mouse.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { card, launch, stands, visit } from "./browser.js";
import { eventually, startDemo } from "./demo.js";

const GOOGLE = "kay@example.com";
let browser, demo, tab, page;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  // What is disconnected may be asked for once more.
  tab = await visit(browser, demo, { refusals: [404] });
  page = tab.page;
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

const focused = () =>
  page.evaluate(() => {
    const { activeElement: node } = document;
    if (node === document.body) return "the page";
    return (
      node.ariaLabel || node.labels?.[0]?.textContent || node.textContent.trim() || node.name || node.tagName
    );
  });

/** What closes gives the focus back a moment later. */
const comesBack = (name) => eventually(`the focus comes back to ${name}`, async () => (await focused()) === name);

/** Tab by tab to what has this name, as a keyboard does. */
async function reach(name) {
  const passed = [];
  for (let step = 0; step < 120; step += 1) {
    await page.keyboard.press("Tab");
    const now = await focused();
    if (now === name) return;
    passed.push(now);
  }
  assert.fail(`${name} is not reached, but ${passed.slice(0, 40).join(" | ")}`);
}

async function press(name) {
  await reach(name);
  await page.keyboard.press("Enter");
}

test("a calendar is connected", async () => {
  await page.goto(demo.link("coach"));
  await page.locator(".rows li").first().waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to content");
  await press("Connect Google Calendar");
  await page.waitForURL((url) => url.href.startsWith(demo.simulator));
  await page.locator('input[name="account"]').focus();
  await page.keyboard.type(GOOGLE);
  await press("Allow");
  await page.waitForURL((url) => url.href.startsWith(`${demo.root}dashboard`));
  await stands(page, GOOGLE, "In step.");
});

test("settings are changed, and the focus comes back", async () => {
  await press("Settings");
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByText("This is what your calendar shows").waitFor();
  await reach("Auto-create events");
  await page.keyboard.press("Space");
  await press("Save");
  await dialog.waitFor({ state: "detached" });
  await card(page, GOOGLE).getByText("Settings saved.").waitFor();
  await comesBack("Settings");
});

test("the question before a disconnect is answered with Escape, then with the button", async () => {
  const question = page.getByRole("alertdialog");
  await press("Disconnect");
  await question.waitFor();
  assert.equal(await focused(), "Keep it");
  await page.keyboard.press("Escape");
  await question.waitFor({ state: "detached" });
  await comesBack("Disconnect");
  await page.keyboard.press("Enter");
  await question.waitFor();
  await press("Disconnect");
  await card(page, GOOGLE).waitFor({ state: "detached" });
});

test("nothing went wrong on the way", () => tab.isClean());
