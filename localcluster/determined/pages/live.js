// Nothing here is needed to read the pages.  It keeps a page about something that runs up to date, copies uuids,
// and lets one trial stand out in the charts.
"use strict";

const EVERY = 2000; // milliseconds

// Changes `old` into `fresh` node by node, so that scroll positions, selections and opened details stay.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh.cloneNode(true));
  if (old.nodeType === Node.TEXT_NODE) { old.data = fresh.data; return; }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  const kept = [...old.childNodes];
  fresh.childNodes.forEach((node, index) => index < kept.length ? become(kept[index], node) : old.append(node.cloneNode(true)));
  for (const node of kept.slice(fresh.childNodes.length)) node.remove();
}

function enhance() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

function follow(change) {
  const tail = document.querySelector("[data-tail]");
  const atEnd = !tail || tail.scrollTop + tail.clientHeight >= tail.scrollHeight - 4;
  change();
  if (tail && atEnd) tail.scrollTop = tail.scrollHeight;
}

async function refresh() {
  const stale = document.getElementById("stale");
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href);
      if (answer.redirected || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const button of fresh.querySelectorAll("[data-copy]")) button.hidden = false;
      follow(() => become(document.querySelector("main"), fresh.querySelector("main")));
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }
  if (document.querySelector("main[data-live]")) setTimeout(refresh, EVERY);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
});

document.addEventListener("pointerover", (event) => {
  const chosen = event.target.closest("[data-trial]")?.dataset.trial;
  for (const line of document.querySelectorAll("svg [data-trial]"))
    line.classList.toggle("away", chosen !== undefined && line.dataset.trial !== chosen);
});

enhance();
follow(() => {});
if (document.querySelector("main[data-live]")) setTimeout(refresh, EVERY);
