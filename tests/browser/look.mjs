// Opens pages in Chromium as a person would, and says what it saw. Reads a list of looks from standard input, as JSON:
// {url, width, height, scheme, javascript, steps: [[action, selector, value?]], axe, shot}. Writes one report for each.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.argv[2] + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

const looks = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath: process.argv[3],
  args: [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
  ],
});
const reports = [];
for (const look of looks) {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1000, height: look.height ?? 800 },
    colorScheme: look.scheme ?? "light",
    javaScriptEnabled: look.javascript ?? true,
    deviceScaleFactor: look.scale ?? 1,
  });
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  page.on("request", (request) => requests.push([request.method(), request.url(), request.headers().referer ?? ""]));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const answer = await page.goto(look.url);
  for (const [action, selector, value] of look.steps ?? []) {
    if (action === "press") await page.keyboard.press(selector);
    else await page[action](selector, value);
  }
  await page.waitForLoadState();
  const report = { url: page.url(), status: answer?.status() ?? 0, title: await page.title(), requests, complaints };
  report.text = await page.locator("body").innerText();
  if (look.axe) {
    await page.evaluate(axe);
    const found = await page.evaluate((tags) => globalThis.axe.run({ runOnly: tags }), [...rules, ...(look.more ?? ["best-practice"])]);
    report.violations = found.violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((n) => n.html) }));
    report.passes = found.passes.length;
    report.wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  }
  if (look.shot) await page.screenshot({ path: look.shot, fullPage: look.full ?? false });
  reports.push(report);
  await context.close();
}
await browser.close();
process.stdout.write(JSON.stringify(reports));
