// From a phone to a desk, light and dark: nothing is too wide, everything is accessible.

import { after, before, test } from "node:test";
import { connect, launch, stands, visit } from "./browser.js";
import { startDemo } from "./demo.js";

const GOOGLE = "amy@example.com";
let browser, demo;

before(async () => {
  [browser, demo] = await Promise.all([launch(), startDemo()]);
  const tab = await visit(browser, demo, {});
  await tab.page.goto(demo.link("coach"));
  await connect(tab.page, demo, "Google Calendar", GOOGLE);
  await stands(tab.page, GOOGLE, "In step.");
  await tab.close();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

for (const width of [360, 1440]) {
  for (const dark of [false, true]) {
    const name = `${width}-${dark ? "dark" : "light"}`;
    test(`at ${width} px, ${dark ? "dark" : "light"}`, async () => {
      const tab = await visit(browser, demo, { width, height: 800, dark });
      const { page } = tab;
      const look = async (what) => {
        await tab.fits(what);
        await tab.isAccessible(what);
        await tab.shot(`30-${name}-${what}`);
      };
      await page.goto(demo.link("coach", "operator"));
      await stands(page, GOOGLE, "In step.");
      await page.locator(".rows li").first().waitFor();
      await look("coach");
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByText("This is what your calendar shows").waitFor();
      await look("settings");
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("button", { name: "Disconnect" }).click();
      await page.getByRole("alertdialog").waitFor();
      await look("question");
      await page.getByRole("button", { name: "Keep it" }).click();
      await page.getByRole("button", { name: "Operator" }).click();
      await page.locator("tbody .link").first().waitFor();
      await look("operator");
      await page.locator("tbody .link").first().click();
      await page.getByRole("dialog").getByText(GOOGLE).first().waitFor();
      await look("drill-down");
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("Access token").waitFor();
      await look("sign-in");
      tab.isClean();
      await tab.close();
    });
  }
}
