// A headless Chromium, driven line by line: one command as JSON on standard input, one answer on standard output.
//   {"do": "visitor", "name": "ana"}                       a browser profile of its own, with one tab; others: "tab"
//   {"do": "open", "url": ...}                             and click, fill, attach, sees, lacks, at: as a person does
//   {"do": "screenshot", "name": ..., "looks": [...]}      as a picture, in several sizes and colours
// An answer is {"value": ...} or {"error": ...}. Everything stops when standard input closes.
//
// Nothing but loopback is ever reached: other requests are blocked, and reported by "traffic".
import { mkdirSync } from 'node:fs';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const settings = JSON.parse(process.argv[2]); // {"chromium": path, "screenshots": folder, "patience": milliseconds}
mkdirSync(settings.screenshots, { recursive: true });

const LOOKS = {
  'desktop-light': { width: 1280, height: 900, colorScheme: 'light' },
  'desktop-dark': { width: 1280, height: 900, colorScheme: 'dark' },
  'phone-light': { width: 390, height: 844, colorScheme: 'light' },
  'phone-dark': { width: 390, height: 844, colorScheme: 'dark' },
};

const browser = await chromium.launch({
  executablePath: settings.chromium,
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // The browser's own services are not reached either.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE cloud.localhost, EXCLUDE 127.0.0.1',
  ],
});

const visitors = new Map();
let current;

const isLoopback = (url) => ['localhost', 'cloud.localhost', '127.0.0.1'].includes(url.hostname) || ['data:', 'blob:', 'about:'].includes(url.protocol);

class Visitor {
  static async arrive() {
    const visitor = new Visitor();
    // Chromium trusts the demo's authority only from the system's store, which no test changes. That the gateway's
    // certificate is right is shown by the clients of the other tests.
    visitor.context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
    visitor.context.setDefaultTimeout(settings.patience);
    visitor.console = [];
    visitor.requests = [];
    visitor.blocked = [];
    await visitor.context.route('**', (route) => visitor.let(route));
    visitor.context.on('request', (request) => {
      // The browser does not say which page asks before it has one: then the request is that page.
      let page = '';
      try {
        page = request.isNavigationRequest() ? '' : request.frame().url();
      } catch {
        page = '';
      }
      visitor.requests.push({ url: request.url(), page, kind: request.resourceType() });
    });
    await visitor.tab();
    return visitor;
  }

  let(route) {
    const url = new URL(route.request().url());
    if (!isLoopback(url)) {
      this.blocked.push({ url: url.href, page: route.request().frame().url() });
      return route.abort('blockedbyclient');
    }
    return route.continue();
  }

  async tab() {
    this.page = await this.context.newPage();
    const note = (kind, text, url) => this.console.push({ kind, text, url });
    this.page.on('pageerror', (error) => note('exception', String(error), this.page.url()));
    this.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) note(message.type(), message.text(), message.location().url);
    });
  }
}

function thing({ role, name, label, placeholder, text, exact }) {
  const page = current.page;
  if (role) return page.getByRole(role, { name, exact: exact ?? true });
  if (label) return page.getByLabel(label, { exact: exact ?? true });
  if (placeholder) return page.getByPlaceholder(placeholder);
  return page.getByText(text, { exact: exact ?? false });
}

const commands = {
  async visitor({ name }) {
    if (!visitors.has(name)) visitors.set(name, await Visitor.arrive());
    current = visitors.get(name);
  },
  async tab() {
    await current.tab();
  },
  // Turns to the tab or window that was opened as the n-th, from 0; waits for it.
  async turn({ to }) {
    for (const end = Date.now() + settings.patience; current.context.pages().length <= to; ) {
      if (Date.now() > end) throw new Error(`there are ${current.context.pages().length} tabs`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    current.page = current.context.pages()[to];
    await current.page.bringToFront();
  },
  // Waits until so many tabs and windows are open.
  async tabs({ count }) {
    for (const end = Date.now() + settings.patience; current.context.pages().length !== count; ) {
      if (Date.now() > end) throw new Error(`there are ${current.context.pages().length} tabs`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  async evaluate({ script }) {
    return current.page.evaluate(script);
  },
  async value(what) {
    return thing(what).inputValue();
  },
  // Goes to an address, and does not wait for what comes of it.
  async leave({ url }) {
    await current.page.evaluate((to) => void setTimeout(() => location.assign(to), 0), url);
  },
  async open({ url }) {
    const answer = await current.page.goto(url);
    return { status: answer?.status() ?? 0, url: current.page.url() };
  },
  async back() {
    await current.page.goBack();
  },
  async click(what) {
    await thing(what).click();
  },
  async fill(what) {
    await thing(what).fill(what.value);
  },
  async attach(what) {
    await thing(what).setInputFiles({ name: what.file, mimeType: what.type, buffer: Buffer.from(what.base64, 'base64') });
  },
  async sees(what) {
    await thing(what).first().waitFor({ state: 'visible' });
  },
  async lacks(what) {
    const count = await thing(what).count();
    if (count > 0) throw new Error(`${count} of these are on ${current.page.url()}`);
  },
  // Waits until the tab is at an address that begins so.
  async at({ url }) {
    await current.page.waitForURL((found) => found.href.startsWith(url));
    return current.page.url();
  },
  async text() {
    return current.page.locator('body').innerText();
  },
  async html() {
    return current.page.content();
  },
  async status() {
    return current.page.evaluate(() => performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0);
  },
  async download(what) {
    const [download] = await Promise.all([current.page.waitForEvent('download'), thing(what).click()]);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    return { name: download.suggestedFilename(), base64: Buffer.concat(chunks).toString('base64') };
  },
  async cookies() {
    return current.context.cookies();
  },
  // What the browser complained of, what it asked for, and what it was not allowed to ask for, since the last time.
  async traffic() {
    return {
      console: current.console.splice(0),
      requests: current.requests.splice(0),
      blocked: current.blocked.splice(0),
    };
  },
  async screenshot({ name, looks }) {
    for (const look of looks) {
      const { width, height, colorScheme } = LOOKS[look];
      await current.page.setViewportSize({ width, height });
      await current.page.emulateMedia({ colorScheme });
      const overflow = await current.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      await current.page.screenshot({ path: `${settings.screenshots}/${name}-${look}.png`, fullPage: true, animations: 'disabled' });
      if (overflow > 0) throw new Error(`${name} is ${overflow} pixels too wide for ${look}`);
    }
    await current.page.setViewportSize({ width: 1280, height: 900 });
    await current.page.emulateMedia({ colorScheme: 'light' });
  },
};

console.log(JSON.stringify({ value: browser.version() }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[command.do](command)) ?? null };
  } catch (error) {
    answer = { error: error.message, at: current?.page.url() };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
process.exit(0);
