// What pages do beyond HTML: times in the reader's zone, parts that are fetched again when something has changed, commands that are copied.
"use strict";

const full = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

function inReadersZone(root) {
  for (const time of root.querySelectorAll("time[data-form]")) {
    const at = new Date(time.dateTime);
    time.firstElementChild.textContent = ({ clock, day }[time.dataset.form] ?? full).format(at);
    time.title = time.title.includes(zone) ? time.title : `${time.title} (shown in ${zone})`;
    time.removeAttribute("data-form"); // The style sheet hides the word UTC then.
  }
}

function copyable(root) {
  for (const button of root.querySelectorAll("button.copy[hidden]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      document.getElementById("said").textContent = "Copied.";
    });
  }
}

// A file goes into the text beside it: the form has texts only, and the reader sees what is sent.
function fromFiles(root) {
  for (const chooser of root.querySelectorAll("input[type=file][data-into]")) {
    chooser.closest("[hidden]")?.removeAttribute("hidden");
    chooser.addEventListener("change", async () => {
      if (chooser.files.length > 0) document.getElementById(chooser.dataset.into).value = await chooser.files[0].text();
    });
  }
}

function ready(root) {
  inReadersZone(root);
  copyable(root);
}

// A part that is replaced keeps what the reader has opened, ticked or typed in it.
function isInUse(part) {
  const held = document.activeElement;
  const typed = [...part.querySelectorAll("input, textarea, select")].some((one) => one.type === "checkbox" || one.type === "radio" ? one.checked !== one.defaultChecked : one.value !== (one.defaultValue ?? one.value));
  return typed || part.querySelector("[data-typed]") !== null || (part.contains(held) && held.matches("input, textarea, select")) || part.querySelector("details.confirm[open]") !== null;
}

function refresh() {
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!isInUse(part)) htmx.trigger(part, "changed");
  }
}

function openedIn(part) {
  return [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
}

// Of each part by its id: several parts of a page are fetched at the same time. One that is in use by now keeps what it shows.
const opened = new Map();
document.addEventListener("htmx:beforeSwap", (event) => {
  if (isInUse(event.detail.target)) event.detail.shouldSwap = false;
  else opened.set(event.detail.target.id, openedIn(event.detail.target));
});
// At once, before anything is drawn: else the times would jump from UTC to the reader's zone a moment later.
for (const swapped of ["htmx:afterSwap", "htmx:oobAfterSwap"]) document.addEventListener(swapped, () => ready(document));
document.addEventListener("htmx:afterSettle", () => {
  for (const id of [...opened.values()].flat()) document.getElementById(id)?.setAttribute("open", "");
  opened.clear();
});
for (const failed of ["htmx:sendError", "htmx:responseError"]) document.addEventListener(failed, () => connected(false));
document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.successful) connected(true); });

function connected(isThere) {
  document.getElementById("offline").hidden = isThere;
}

// Server-Sent Events say that something has changed. A page that isn't seen listens to nothing, and catches up when it is seen again.
let source = null;
let every = 0;

function listen() {
  if (source !== null || document.hidden || document.querySelector("[data-live]") === null) return;
  source = new EventSource(document.body.dataset.events);
  source.addEventListener("open", () => connected(true));
  source.addEventListener("listening", refresh); // What changed since the page was read, or since the server was gone.
  source.addEventListener("changed", refresh);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    // The server refused: the session has ended, and the refetch leads to the login. Or it is away for long: the browser connects no more by itself.
    pause();
    setTimeout(() => { refresh(); listen(); }, 3000);
  });
  const seconds = [...document.querySelectorAll("[data-live]")].map((part) => Number(part.dataset.every)).filter((one) => one > 0);
  if (seconds.length > 0) every = setInterval(refresh, Math.min(...seconds) * 1000);
}

function pause() {
  source?.close();
  source = null;
  clearInterval(every);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return pause();
  refresh();
  listen();
});
window.addEventListener("pagehide", () => {
  pause();
  document.querySelectorAll("[data-secret]").forEach((one) => one.replaceChildren("Shown once.")); // A browser may keep the page to go back to.
});
window.addEventListener("pageshow", listen);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll("details.confirm[open]").forEach(close);
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !document.activeElement.matches("input, textarea, select")) {
    event.preventDefault();
    document.getElementById("find").focus();
  }
});

// Whoever was in a question that is closed is at its button again.
function close(question) {
  if (question.contains(document.activeElement)) question.firstElementChild.focus();
  question.removeAttribute("open");
}

// On a narrow screen the menu is a row that is wider than the screen: it begins where the reader is.
function menuAtHere() {
  const here = document.querySelector(".menu [aria-current]");
  const menu = here?.closest(".menu");
  if (menu && menu.scrollWidth > menu.clientWidth) menu.scrollLeft = here.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2;
}

ready(document);
fromFiles(document);
menuAtHere();
