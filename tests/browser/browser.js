// Chromium, and what every visit is watched for: errors on the console, violations of the policy,
// requests to any other host, accessibility, and overflow.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-background-networking"],
  });

/** A tab of its own. `refusals` are the statuses with which requests of this visit may be refused. */
export async function visit(
  browser,
  demo,
  { width = 1440, height = 1000, dark = false, refusals = [] } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const problems = [];
  const hosts = [demo.root, demo.simulator].map((address) => new URL(address).host);
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const status = Number(/the server responded with a status of (\d+)/.exec(message.text())?.[1]);
    if (!refusals.includes(status)) problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on("request", (request) => {
    const { host } = new URL(request.url());
    if (!hosts.includes(host)) problems.push(`a request to ${host}`);
    // The simulator stands for Google and Microsoft: browsers go there, pages never ask it.
    const isOwn = host === hosts[0] || request.isNavigationRequest();
    const asks = new URL(request.frame().url() || demo.root).host;
    if (!isOwn && asks === hosts[0]) problems.push(`the page asked ${request.url()}`);
  });
  return {
    page,
    /** Nothing went wrong on the way. */
    isClean: () => assert.deepEqual(problems, []),
    shot: async (name) => {
      if (!process.env.SCREENSHOTS) return;
      await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
    },
    isAccessible: async (what) => {
      for (const frame of page.frames()) {
        await frame.evaluate(AXE);
        const { violations } = await frame.evaluate((tags) => globalThis.axe.run({ runOnly: tags }), TAGS);
        const found = violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`,
        );
        assert.deepEqual(found, [], `${what}: ${frame.url()}`);
      }
    },
    fits: async (what) => {
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${what} is ${over} px too wide`);
    },
    close: () => context.close(),
  };
}

/** Through the consent page and back. */
export async function connect(page, demo, provider, account, decision = "allow") {
  await page.getByRole("button", { name: `Connect ${provider}` }).click();
  await page.waitForURL((url) => url.href.startsWith(demo.simulator));
  await page.locator('input[name="account"]').fill(account);
  await page.locator(`button[value="${decision}"]`).click();
  await page.waitForURL((url) => url.href.startsWith(`${demo.root}dashboard`));
}

export const card = (page, account) => page.locator(".card", { hasText: account });

/** Waits until the sentence of a card says so. */
export const stands = (page, account, text) =>
  card(page, account).locator(".state", { hasText: text }).waitFor();
