// The views: which is shown stands behind # in the address.
import "/page/compare.js";
import * as map from "/page/map.js";
import * as run from "/page/run.js";
import * as searching from "/page/search.js";
import { call } from "/page/server.js";
import * as spectrum from "/page/spectrum.js";

const views = { search: searching, compare: {}, map, spectrum, run };
let current = null;

function navigate() {
  if (location.hash === "#content" && current !== null) {
    return; // the link that skips the navigation
  }

  const [name, query] = location.hash.slice(1).split("=");
  const view = name in views ? name : "search";
  if (current !== view) {
    views[current]?.hide?.();
    for (const other of Object.keys(views)) {
      document.getElementById(`view-${other}`).hidden = other !== view;
    }

    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${view}`) {
        link.setAttribute("aria-current", "page");
      } else {
        link.removeAttribute("aria-current");
      }
    }

    document.title = `${document.querySelector(`nav a[href="#${view}"]`).textContent} · SimCSE`;
    current = view;
    views[view].show?.();
  }

  if (view === "search" && query) {
    searching.search(decodeURIComponent(query));
  }
}

addEventListener("hashchange", navigate);
navigate();

const info = await call("/info");
let about = `${info.model_id} · ${info.dimensions} components`;
try {
  about += ` · ${(await call("/index")).entries.toLocaleString("en")} indexed texts`;
} catch (error) {
  if (error.status !== 404) {
    throw error;
  }

  about += " · no index";
}

document.getElementById("model").textContent = about;
