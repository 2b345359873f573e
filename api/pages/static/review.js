// The review page: a grid of pseudo labels, worked with the mouse or with the keys alone.

import { answer, byId, complain, count, el, get, percent, unbroken, whoAmI } from "./elements.js";

const [, , , runId, , generation] = location.pathname.split("/").map(decodeURIComponent);
const RUN = `/runs/${encodeURIComponent(runId)}`;
const LABELS = `${RUN}/generations/${generation}/labels`;
const FILTERS = ["order", "class", "selected"];
const TINY = 96; // pixels: smaller pictures are drawn with sharp edges

let mayMark = false;
let next = null; // the cursor of the next page
const done = []; // what can be undone: the card, and the mark that it had before

// ---- the page ----

async function begin() {
  const asked = new URLSearchParams(location.search);
  for (const name of FILTERS) {
    byId(name).value = asked.get(name) ?? byId(name).value;
    byId(name).addEventListener("change", show);
  }
  byId("more").addEventListener("click", () => attempt(() => more(true)));
  byId("undo").addEventListener("click", () => attempt(undo));
  byId("grid").addEventListener("keydown", onKey);
  byId("choice").addEventListener("close", onChosen);
  document.addEventListener("keydown", (event) => { if (isPlain(event) && event.key === "u") attempt(undo); });
  const [caller, run] = await Promise.all([whoAmI(), get(RUN)]);
  mayMark = caller.scope !== "viewer";
  byId("undo").hidden = byId("keys").hidden = !mayMark;
  document.title = `Review · ${run.name} · generation ${generation}`;
  byId("name").textContent = `${run.name} · generation ${generation}`;
  byId("back").href = `/ui/runs/${encodeURIComponent(runId)}`;
  const { classes } = await get(`/datasets/${encodeURIComponent(run.config.datasets.labeled)}`);
  byId("class").append(...classes.map((name) => el("option", { value: name }, name)));
  byId("class").value = asked.get("class") ?? "";
  byId("classes").append(...classes.map((name) => el("option", { value: name })));
  await show();
}

async function show() {
  const asked = query();
  history.replaceState(null, "", `?${asked}`);
  byId("grid").replaceChildren();
  done.length = 0;
  next = null;
  await attempt(() => more(false));
}

function query() {
  const set = FILTERS.map((name) => [name, byId(name).value]).filter(([, value]) => value !== "");
  return new URLSearchParams(set);
}

async function more(goesThere) {
  const asked = query();
  if (next !== null) asked.set("cursor", next);
  const page = await get(`${LABELS}?${asked}`);
  const cards = page.items.map(card);
  byId("grid").append(...cards);
  next = page.next_cursor;
  byId("more").hidden = next === null;
  byId("notes").replaceChildren(...page.notes.map((note) => el("p", { class: "soft" }, note)));
  byId("count").textContent = page.rows === 0 ? "No such label." : `${count(byId("grid").children.length)} of ${count(page.rows)}`;
  const first = cards[0];
  if (!first) return;
  if (goesThere) go(first);
  else first.tabIndex = 0;
}

async function attempt(work) {
  try {
    await work();
    byId("trouble").hidden = true;
  } catch (error) {
    complain(error.message);
  }
}

// ---- cards ----

function card(label) {
  const picture = el("img", { class: "look", alt: `Image ${label.key}`, loading: "lazy", src: label.picture });
  picture.addEventListener("load", () => picture.classList.toggle("tiny", picture.naturalWidth < TINY));
  picture.addEventListener("error", () => picture.replaceWith(el("div", { class: "look soft" }, "no picture")));
  const node = el("li", { class: "card label", tabindex: "-1" },
    picture,
    el("div", { class: "row" }, el("strong", {}, label.label), el("span", { class: "soft" }, percent(label.confidence))),
    el("div", { class: "soft" }, label.top_classes.slice(1, 4).map(({ name, probability }) => unbroken(`${name} ${percent(probability)}`)).join(" · ")),
    opinion("before", label.previous, label.label),
    opinion("its student", label.student, label.label),
    el("div", { class: "soft" }, chosen(label)),
    el("div", { class: "said" }),
    mayMark ? el("div", { class: "verdicts" },
      verdict("Right", "right"), verdict("Wrong", "wrong"), verdict("Class…", "class")) : null);
  node.label = label;
  tell(node);
  return node;
}

function opinion(whose, other, label) {
  if (!other) return null;
  const differs = other.label !== label ? "differs" : "soft";
  return el("div", { class: differs }, `${whose}: ${other.label} `, unbroken(percent(other.confidence)));
}

function chosen({ selected, copies }) {
  if (selected === null) return "not selected yet";
  if (!selected) return "not selected";
  return copies > 1 ? `selected, ${count(copies)} copies` : "selected";
}

function verdict(text, name) {
  const button = el("button", { class: "quiet", type: "button", tabindex: "-1" }, text);
  button.addEventListener("click", (event) => attempt(() => say(event.target.closest("li"), name)));
  return button;
}

const SAID = { right: () => "right", wrong: ({ classes }) => `not ${classes.join(", ")}`, class: ({ classes }) => classes[0] };

// Shows what is said of the image, also to who does not see the card.
function tell(node) {
  const { label } = node;
  const said = label.mark ? SAID[label.mark.verdict](label.mark) : "";
  node.querySelector(".said").textContent = said ? `marked: ${said}` : "";
  node.dataset.verdict = label.mark?.verdict ?? "";
  node.setAttribute("aria-label", `${label.label}, ${percent(label.confidence)}${said ? `, marked: ${said}` : ""}`);
}

// ---- marks ----

function say(node, name) {
  if (name === "class") return choose(node);
  return mark(node, { verdict: name });
}

async function mark(node, body) {
  const before = node.label.mark;
  await put(node, body);
  done.push({ node, before });
  byId("undo").disabled = false;
  go(neighbor(node, 1) ?? node);
}

async function undo() {
  const last = done.pop();
  byId("undo").disabled = done.length === 0;
  if (!last) return;
  const { node, before } = last;
  if (before === null) await put(node, null);
  else await put(node, before.verdict === "wrong" ? { verdict: "wrong" } : { verdict: "class", class: before.classes[0] });
  go(node);
}

// Sends what is said of the image, or takes it back if `body` is null.
async function put(node, body) {
  const { shard, row } = node.label;
  const path = `${LABELS}/${shard}/${row}/mark`;
  const headers = { "Content-Type": "application/json" };
  const request = body === null ? { method: "DELETE" } : { method: "PUT", headers, body: JSON.stringify(body) };
  const made = await answer(await fetch(path, request));
  node.label.mark = body === null ? null : made;
  tell(node);
  byId("status").textContent = body === null ? `${node.label.label}: no longer marked` : node.getAttribute("aria-label");
}

function choose(node) {
  const choice = byId("choice");
  choice.node = node;
  choice.returnValue = "";
  byId("chosen").value = "";
  choice.showModal();
  byId("chosen").focus();
}

function onChosen() {
  const { node, returnValue } = byId("choice");
  const name = byId("chosen").value.trim();
  go(node);
  if (returnValue === "mark" && name !== "") attempt(() => mark(node, { verdict: "class", class: name }));
}

// ---- keys ----

const isPlain = (event) => !(event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select"));

function onKey(event) {
  const node = event.target.closest("li");
  if (!node || !isPlain(event)) return;
  const verdicts = { r: "right", w: "wrong", c: "class" };
  const name = mayMark ? verdicts[event.key] : undefined;
  if (name) {
    event.preventDefault();
    attempt(() => say(node, name));
    return;
  }
  const columns = getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, n: 1, p: -1 };
  if (steps[event.key] === undefined) return;
  event.preventDefault();
  const other = neighbor(node, steps[event.key]);
  if (other) go(other);
  else if (steps[event.key] > 0 && next !== null) attempt(() => more(true));
}

function neighbor(node, step) {
  const cards = [...byId("grid").children];
  return cards[cards.indexOf(node) + step];
}

// One card at a time can be reached by Tab; the keys lead to the others.
function go(node) {
  for (const other of byId("grid").querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  node.tabIndex = 0;
  node.focus();
  node.scrollIntoView({ block: "nearest" });
}

begin().catch((error) => complain(error.message));
