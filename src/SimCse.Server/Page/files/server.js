// The server's API, and the key that it may need: kept for this tab, asked for when the server says that it is needed.
const storage = "simcse-key";
const dialog = document.getElementById("key-dialog");
let asking = null;

function askForKey(hint) {
  asking ??= new Promise(resolve => {
    document.getElementById("key-hint").textContent = hint;
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(storage, document.getElementById("key").value.trim());
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

// The answer's JSON; an Error with the server's own words where it refuses.
export async function call(path, body) {
  for (;;) {
    const key = sessionStorage.getItem(storage);
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const request = body === undefined ? { headers } : { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let response;
    try {
      response = await fetch(path, request);
    } catch {
      throw new Error("The server does not answer.");
    }

    if (response.status === 401) {
      await askForKey(key ? "The key was not accepted. Is it this server's?" : "It is kept in this tab only, and sent to this server only.");
      continue;
    }

    const answer = await response.json();
    if (!response.ok) {
      throw Object.assign(new Error(answer.error), { status: response.status });
    }

    return answer;
  }
}

// Says in a view's status line how it goes.
export function say(id, text, isError = false) {
  const line = document.getElementById(id);
  line.textContent = text;
  line.classList.toggle("error", isError);
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A list of named figures.
export function showFigures(id, figures) {
  document.getElementById(id).replaceChildren(...figures.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
}
