// Has a real browser, with the virtual authenticator that it brings, do at the sign-in page what a person does there. It speaks to
// Chromium by its debugging pipe (https://chromedevtools.github.io/devtools-protocol/).
//
//	node page.mjs CHROMIUM ORIGIN PASSWORDFILE PROFILE
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const [chromium, origin, passwordFile, profile] = process.argv.slice(2);
const password = JSON.stringify(readFileSync(passwordFile, "utf8").trim());
const browser = spawn(chromium, ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", "--remote-debugging-pipe", "--user-data-dir=" + profile, "about:blank"],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

let rest = "", last = 0, session;
const waiting = new Map(), said = [];
browser.stdio[4].on("data", (data) => {
  const parts = (rest + data).split("\0");
  rest = parts.pop();
  for (const m of parts.map((p) => JSON.parse(p))) {
    if (!m.id) said.push(m);
    else if (m.error) waiting.get(m.id).bad(new Error(m.error.message));
    else waiting.get(m.id).ok(m.result);
  }
});
const send = (method, params = {}) => new Promise((ok, bad) => {
  waiting.set(++last, { ok, bad });
  browser.stdio[3].write(JSON.stringify({ id: last, method, params, ...(session ? { sessionId: session } : {}) }) + "\0");
});
const js = async (expression) => {
  const r = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, userGesture: true });
  if (r.exceptionDetails) throw new Error(expression + ": " + JSON.stringify(r.exceptionDetails.exception));
  return r.result.value;
};
// until waits in the page for what the page shows; the test's own deadline bounds it.
const until = (condition) => js(`new Promise((ok, bad) => {
  const look = () => {
    const problem = document.querySelector("#problem");
    if (problem && !problem.hidden) bad(problem.textContent);
    else if ((${condition}) && !document.body.hasAttribute("aria-busy")) ok();
    else setTimeout(look, 20);
  };
  look();
})`);
const status = (text) =>  until(`document.querySelector("#status")?.textContent.includes(${JSON.stringify(text)})`);
const click = (selector) => js(`document.querySelector(${JSON.stringify(selector)}).click()`);
const type = (selector, text) => js(`document.querySelector(${JSON.stringify(selector)}).value = ${text}`);
const open = async (url) => {
  const loaded = said.length;
  await send("Page.navigate", { url });
  while (!said.slice(loaded).some((m) => m.method === "Page.loadEventFired")) await new Promise((ok) => browser.stdio[4].once("data", ok));
};
const post = async (operation, question) => (await fetch(origin + "/v1/" + operation, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) })).json();
const want = (what, got, wanted) => { if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(got)}`); };
const withPassword = async () => { await type("#name", '"ada"'); await type("#password", password); await click("#password-form button"); };

try {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  session = (await send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
  for (const domain of ["Page", "Runtime", "Log", "Network", "WebAuthn"]) await send(domain + ".enable");
  await send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });

  await open(origin + "/signin");
  await status("You are not signed in.");
  await withPassword();
  await status("make a passkey now");
  await type("#key-password", password);
  await type("#key-name", '"laptop"');
  await click("#enrol-form button");
  await status("The passkey is made");
  want("recovery codes", await js(`document.querySelector("#codes").textContent.split("\\n").length > 4`), true);
  await click("#out");
  await status("You are not signed in.");
  await click("#with-passkey");
  await status("Signed in as ada.");
  await click("#out");
  await status("You are not signed in.");
  await withPassword(); // and the passkey after it
  await status("Signed in as ada.");

  const code = await post("signin.code.begin", { client: "casemate on laptop" });
  await open(code.page);
  await until(`!document.querySelector("#approve").hidden`);
  want("the address bar", await js("location.href"), origin + "/signin");
  await click("#code-form button");
  await until(`!document.querySelector("#request").hidden`);
  want("what is asked", await js(`["code", "client", "from", "as"].map((id) => document.querySelector("#request-" + id).textContent)`), [code.code, "casemate on laptop", "127.0.0.1", "ada"]);
  await click("#allow");
  await status("Approved.");
  const polled = await post("signin.code.poll", { device: code.device });
  want("the command line", [polled.state, polled.session?.operator, Boolean(polled.token)], ["approved", "ada", true]);

  want("what scripts see", await js(`[document.cookie, localStorage.length, sessionStorage.length]`), ["", 0, 0]);
  for (const c of (await send("Network.getCookies")).cookies) want(c.name, [c.name.startsWith("__Host-"), c.httpOnly, c.secure, c.sameSite], [true, true, true, "Strict"]);
  want("what the policy stopped", said.filter((m) => m.method === "Log.entryAdded" && /security|violation|refused to/i.test(m.params.entry.source + m.params.entry.text)).map((m) => m.params.entry.text), []);
  console.log("a browser signed in");
} catch (error) {
  console.error(error.message, await js("document.body.innerText").catch(() => ""));
  process.exitCode = 1;
} finally {
  browser.kill();
}
