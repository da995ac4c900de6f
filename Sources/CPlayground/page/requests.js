// Requests to the service, and what every other part uses.
const at = id => document.getElementById(id);
let key = "", typing = null;

// A service that is busy or starting says when to ask again.
const longestWait = 30, mostRetries = 2;

async function ask(path, body, method = body ? "POST" : "GET", signal) {
  for (let retries = 0;;) {
    const used = key, answer = await answered(path, { method, body, signal }, used);
    if (answer.status < 300) return answer.document;
    if (answer.status === 503 && answer.wait <= longestWait && retries++ < mostRetries) {
      await new Promise(done => setTimeout(done, 1000 * answer.wait));
      continue;
    }
    // 429 says that too many keys were wrong; a right one is still accepted.
    if (answer.status !== 401 && answer.status !== 429) {
      throw Object.assign(new Error(answer.document.detail ?? `The service answered with status ${answer.status}.`), answer.document);
    }
    // Another request may have asked already.
    if (used === key) await (typing ??= askForKey(used && `The service refused the key: ${answer.document.detail}`));
  }
}

async function answered(path, request, used) {
  // The page can wait: whole ways to noise take long on large models.
  const headers = { "X-Request-Timeout": "600", ...used && { "X-API-Key": used } };
  let response, text;
  try {
    response = await fetch(path, { ...request, headers });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service can't be reached. Check that it is running, then try again.");
  }
  try {
    const wait = Number(response.headers.get("Retry-After") ?? NaN);
    return { status: response.status, wait, document: JSON.parse(text) };
  } catch {
    throw new Error(`The answer is not JSON (status ${response.status}). It may come from a proxy in front of the service. Try again later.`);
  }
}

// Waits until a key has been typed.
function askForKey(complaint) {
  const before = document.activeElement;
  at("key").hidden = false;
  at("key-alert").textContent = complaint;
  at("key-text").focus();
  at("key-text").select();
  return new Promise(done => {
    at("key").onsubmit = event => {
      event.preventDefault();
      const typed = at("key-text").value.trim();
      if (!/^[\x20-\x7e]+$/.test(typed)) {
        at("key-alert").textContent = "The key has a character that no key can have. Copy it again.";
        return;
      }
      key = typed;
      typing = null;
      at("key").hidden = true;
      before?.focus();
      done();
    };
  });
}

// Calls `make` once per object and keeps its promise; after a failure, the next call tries again.
function once(object, name, make) {
  return object[name] ??= make().catch(error => {
    object[name] = null;
    throw error;
  });
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The nearest alert around an element, which shows the element's errors.
const alertNear = element => element.closest("section, .part").querySelector("[role=alert]");

// Runs a task of a button, and tells its error. Meanwhile the button does nothing, but keeps the keyboard's focus, which a
// disabled button would lose.
async function run(button, task) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  alertNear(button).textContent = "";
  try {
    await task();
  } catch (error) {
    alertNear(button).textContent = error.message;
  }
  button.removeAttribute("aria-disabled");
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
