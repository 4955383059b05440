// Nothing here is needed to read the pages.  It keeps a page about something that runs up to date, copies uuids,
// and lets one trial stand out in the charts.
"use strict";

const EVERY = 2000; // milliseconds

// What a node is about.  Nodes about something are matched by it, all others by their order.
const topic = (node) => node.dataset?.key ?? node.dataset?.trial ?? node.getAttribute?.("aria-labelledby") ?? null;

// Changes `old` into `fresh` node by node, so that scroll positions, selections and opened details stay.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh.cloneNode(true));
  if (old.nodeType === Node.TEXT_NODE) { old.data = fresh.data; return; }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  let left = [...old.childNodes];
  for (const node of fresh.childNodes) {
    const place = topic(node) ? left.findIndex((kept) => topic(kept) === topic(node)) : 0;
    if (left[place] && topic(left[place]) === topic(node)) {
      for (const gone of left.slice(0, place)) gone.remove();
      become(left[place], node);
      left = left.slice(place + 1);
    } else old.insertBefore(node.cloneNode(true), left[0] ?? null);
  }
  for (const gone of left) gone.remove();
}

// Buttons that need this script are hidden without it.
function reveal(page) {
  for (const button of page.querySelectorAll("[data-copy]")) button.hidden = false;
}

function toEnd() {
  const tail = document.querySelector("[data-tail]");
  if (tail) tail.scrollTop = tail.scrollHeight;
}

function show(fresh) {
  const tail = document.querySelector("[data-tail]");
  const atEnd = !tail || tail.scrollTop + tail.clientHeight >= tail.scrollHeight - 4;
  reveal(fresh);
  become(document.querySelector("main"), fresh.querySelector("main"));
  if (atEnd) toEnd();
}

async function refresh() {
  const stale = document.getElementById("stale");
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href);
      if (answer.redirected || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
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

reveal(document);
toEnd();
if (document.querySelector("main[data-live]")) setTimeout(refresh, EVERY);
