// Requests to the service, and what every other part uses.
const at = id => document.getElementById(id);
let key = "";

class Refusal extends Error {
  constructor(status, code, detail) { super(detail); this.status = status; this.code = code; }
}

async function ask(path, body, method = body ? "POST" : "GET") {
  const headers = key ? { "X-API-Key": key } : {};
  const response = await fetch(path, { method, headers, body });
  const text = await response.text();
  let document = {};
  try { document = JSON.parse(text); } catch { document = { detail: `the answer is not JSON (status ${response.status})` }; }
  if (response.ok) return document;
  throw new Refusal(response.status, document.code, document.detail);
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Runs a task of a button: the button rests while it runs, and a refusal is shown.
async function run(button, task) {
  button.disabled = true;
  at("alert").textContent = "";
  try {
    await task();
  } catch (error) {
    if (error.status === 401) askForKey(); else at("alert").textContent = error.message;
  }
  button.disabled = false;
}

function askForKey() {
  at("key").hidden = false;
  at("key-text").focus();
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
