// What all pages share: asking the API, building elements, and how numbers are written.
// Data reach the document as text only (textContent, attributes), never as markup.

const SVG = "http://www.w3.org/2000/svg";

// ---- the API ----

export async function get(path) {
  return answer(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function answer(response) {
  if (response.status === 401) location.reload(); // the session has ended: the server answers with its login form
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? `the API answered ${response.status}`);
  return body;
}

// The caller, for whom the button to log out is shown.
export async function whoAmI() {
  const caller = await get("/me");
  byId("logout").hidden = caller.kind !== "session";
  return caller;
}

export function complain(message) {
  const trouble = byId("trouble");
  trouble.textContent = message === "Failed to fetch" ? "The API does not answer; trying again." : message;
  trouble.hidden = false;
}

// ---- the document ----

// Draws one element a value, and leaves alone those whose value has not changed: selections and focus survive.
export function draw(container, values, build) {
  const before = container.drawn ?? [];
  container.drawn = values.map((value, index) => {
    const text = JSON.stringify(value);
    return before[index]?.text === text ? before[index] : { text, node: build(value) };
  });
  const nodes = container.drawn.map((each) => each.node);
  nodes.forEach((node, index) => {
    if (container.children[index] === node) return;
    if (container.children[index]) container.children[index].replaceWith(node);
    else container.append(node);
  });
  while (container.children.length > nodes.length) container.lastElementChild.remove();
}

export const byId = (id) => document.getElementById(id);
export const badge = (state) => el("span", { class: `badge ${state}` }, state);
export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// ---- numbers ----

export const unbroken = (text) => text.replaceAll(" ", "\u00a0");
export const count = (value) => value.toLocaleString("en");
export const percent = (share) => unbroken(`${(share * 100).toFixed(1)} %`);
export const when = (iso) => new Date(iso).toLocaleString();
