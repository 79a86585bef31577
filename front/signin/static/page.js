// The sign-in page. It writes text only, never markup, and keeps nothing: the session is in a cookie that it cannot read.
"use strict";

const $ = (id) => document.getElementById(id);
const show = (id, on) => { $(id).hidden = !on; };
const say = (text) => { $("status").textContent = text; };

const complain = (error) => {
  const text = error === null ? "" : error.name === "NotAllowedError" ? "The browser or you ended it. Try again." :
    error.name === "InvalidStateError" ? "This authenticator has a passkey for you already." : error.message || String(error);
  $("problem").textContent = text;
  show("problem", text !== "");
};

// ask calls an action of the node.
const ask = async (action, question = {}) => {
  const answer = await fetch("/signin/" + action, {
    method: "POST", mode: "same-origin", credentials: "same-origin", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
    headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
  });
  const body = await answer.json();
  if (answer.ok) return body;
  const error = new Error(body.message + (body.hint ? ": " + body.hint : ""));
  error.status = answer.status;
  throw error;
};

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// answered is what the node takes of a credential.
const answered = (credential, response) => ({
  id: credential.id, rawId: text(credential.rawId), type: credential.type, authenticatorAttachment: credential.authenticatorAttachment || "",
  clientExtensionResults: {}, response,
});

const use = async (options) => {
  const publicKey = { ...options.publicKey, challenge: bytes(options.publicKey.challenge) };
  const c = await navigator.credentials.get({ publicKey });
  const r = c.response;
  return answered(c, {
    clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature),
    ...(r.userHandle && r.userHandle.byteLength ? { userHandle: text(r.userHandle) } : {}),
  });
};

const make = async (options) => {
  const o = options.publicKey;
  const publicKey = {
    ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) },
    excludeCredentials: (o.excludeCredentials || []).map((c) => ({ ...c, id: bytes(c.id) })),
  };
  const c = await navigator.credentials.create({ publicKey });
  const r = c.response;
  return answered(c, { clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject), transports: r.getTransports ? r.getTransports() : [] });
};

// doing runs one thing at a time, and shows what went wrong.
let busy = false;
const doing = (work) => async (event) => {
  event?.preventDefault();
  if (busy) return;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  complain(null);
  try {
    await work(event);
  } catch (error) {
    complain(error);
    if (error.status === 401) await refresh();
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
};

const withPasskey = async () => {
  const options = await ask("passkey/begin");
  await ask("passkey/finish", { response: await use(options) });
  await refresh();
};

const withPassword = async () => {
  const name = $("name").value, password = $("password").value, code = $("totp").value.trim();
  $("password").value = $("totp").value = "";
  if (code !== "") {
    await ask("password", { name, password, code });
  } else {
    // Whether the password was right is told with the second factor alone; who has none yet signs in to enrol one.
    const pending = await ask("begin", { name, password });
    let answer = null;
    try {
      answer = pending.ask.passkey ? await use(pending.ask.passkey) : null;
    } catch (error) {
      if (error.name !== "NotAllowedError") throw error;
    }
    if (answer !== null) await ask("complete", { id: pending.id, factor: "passkey", answer });
    else await ask("password", { name, password });
  }
  await refresh();
};

const signOut = async () => {
  await ask("out");
  await refresh();
};

// again is the password, asked for once more: a passkey outlives the session that makes it.
const again = () => {
  const password = $("key-password").value;
  if (password === "") {
    $("key-password").focus();
    throw new Error("Give your password again first.");
  }
  $("key-password").value = "";
  return password;
};

const enrol = async () => {
  const password = again();
  const response = await make(await ask("enrol/begin"));
  const made = await ask("enrol/finish", { name: $("key-name").value, password, response });
  $("key-name").value = "";
  await refresh();
  say("The passkey is made: " + made.passkey.name + ".");
  $("codes").textContent = (made.recovery_codes || []).join("\n");
  show("recovery", $("codes").textContent !== "");
};

const remove = (key) => doing(async () => {
  await ask("passkeys/remove", { id: key.id, password: again() });
  await refresh();
});

const listKeys = async () => {
  const list = $("key-list");
  list.replaceChildren();
  for (const key of await ask("passkeys")) {
    const item = document.createElement("li"), button = document.createElement("button");
    item.textContent = key.name + ", made " + key.created.slice(0, 10) + (key.last_used ? ", last used " + key.last_used.slice(0, 10) : "") +
      (key.copied ? ": COPIED, it opens nothing any more" : "") + " ";
    button.type = "button";
    button.textContent = "Remove";
    button.addEventListener("click", remove(key));
    item.append(button);
    list.append(item);
  }
  if (!list.hasChildNodes()) list.append(Object.assign(document.createElement("li"), { textContent: "none" }));
};

let looked = "";
const look = async () => {
  show("request", false);
  const q = await ask("code/look", { code: $("code").value });
  looked = q.code;
  for (const [id, value] of Object.entries({ code: q.code, client: q.client, from: q.from || "the node's own machine", asked: new Date(q.asked).toLocaleTimeString(), as: q.as })) $("request-" + id).textContent = value;
  show("elsewhere", !q.same_address);
  show("request", true);
  $("deny").focus();
};

const decide = (approve) => doing(async () => {
  await ask("code/decide", approve ? { code: looked, approve } : { code: looked });
  show("request", false);
  $("code").value = "";
  say(approve ? "Approved. You can go back to your terminal." : "Denied.");
});

const refresh = async () => {
  let session = null;
  try {
    session = (await ask("who")).session || null;
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  const full = session !== null && session.level === "full";
  show("signin", session === null);
  show("approve", full);
  show("keys", session !== null);
  show("leave", session !== null);
  say(session === null ? "You are not signed in." : "Signed in as " + session.operator + (full ? "." : ": make a passkey now, this session can do nothing else."));
  if (session !== null) await listKeys();
};

const start = async () => {
  const code = new URLSearchParams(location.search).get("code");
  if (code) {
    $("code").value = code.slice(0, 12);
    history.replaceState(null, "", "/signin");
  }
  if (!window.PublicKeyCredential) {
    $("with-passkey").disabled = true;
    $("with-password").open = true;
  }
  $("with-passkey").addEventListener("click", doing(withPasskey));
  $("password-form").addEventListener("submit", doing(withPassword));
  $("enrol-form").addEventListener("submit", doing(enrol));
  $("code-form").addEventListener("submit", doing(look));
  $("allow").addEventListener("click", decide(true));
  $("deny").addEventListener("click", decide(false));
  $("out").addEventListener("click", doing(signOut));
  await refresh();
};

start().catch(complain);
