"use strict";
// Data: a flat list of nodes, each `parent, name, bytes...`; a parent comes before its children. What is drawn follows
// from four things, which the address bar keeps: the view, the zoomed node, the search, and before or after.
const data = JSON.parse(document.getElementById("data").textContent);
const VIEWS = data.views.length, SIDES = data.is_difference ? 2 : 1;
const STRIDE = 2 + VIEWS * SIDES, ROW = 20, NARROWEST = 0.8;
const count = data.nodes.length / STRIDE;
const parentOf = n => data.nodes[n * STRIDE];
const nameOf = n => data.names[data.nodes[n * STRIDE + 1]];
const bytesOf = (n, view, side) => data.nodes[n * STRIDE + 2 + side * VIEWS + view];
const children = Array.from({ length: count }, () => []);
for (let n = 1; n < count; n++) children[parentOf(n)].push(n);

const at = id => document.getElementById(id);
const graph = at("graph"), search = at("search"), status = at("status"), detail = at("detail");
const hint = detail.textContent;
// The first that has bytes: of a program that freed all, nothing is live.
const hasBytes = view => Array.from({ length: SIDES }, (_, side) => bytesOf(0, view, side)).some(bytes => bytes > 0);
let view = data.views.findIndex((each, number) => !each.missing && hasBytes(number));
if (view < 0) view = Math.max(0, data.views.findIndex(each => !each.missing));
let zoom = 0, side = 0, pattern = null;

function human(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1023.95 && unit + 1 < units.length) { bytes /= 1024; unit++; }
  return unit ? bytes.toFixed(1) + " " + units[unit] : bytes + " B";
}
const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(1) + " %" : "-";

// Warm colours that depend on the name alone; of a difference, red grew and blue shrank.
function colour(n) {
  if (data.is_difference) {
    const after = bytesOf(n, view, 0), before = bytesOf(n, view, 1);
    const most = Math.max(bytesOf(0, view, 0), bytesOf(0, view, 1), 1);
    const change = Math.max(-1, Math.min(1, (after - before) / most * 4));
    const light = 92 - 26 * Math.abs(change);
    return change === 0 ? "hsl(0 0% 90%)" : `hsl(${change > 0 ? 4 : 214} 75% ${light}%)`;
  }
  let sum = 0;
  for (const letter of nameOf(n)) sum = (sum * 31 + letter.codePointAt(0)) % 4093;
  return view === 3 ? `hsl(${170 + sum % 50} 45% ${62 + sum % 14}%)` : `hsl(${18 + sum % 38} 82% ${60 + sum % 14}%)`;
}

function path(n) {
  const names = [];
  for (; n; n = parentOf(n)) names.unshift(nameOf(n));
  return names;
}

function tell(n) {
  const bytes = bytesOf(n, view, side);
  let text = `${nameOf(n)}: ${human(bytes)}, ${share(bytes, bytesOf(0, view, side))} of all`;
  if (data.is_difference) {
    const after = bytesOf(n, view, 0), before = bytesOf(n, view, 1);
    text = `${nameOf(n)}: ${human(before)} before, ${human(after)} after, ${after < before ? "-" : "+"}${human(Math.abs(after - before))}`;
  }
  return text;
}

function frame(n, depth, left, width, isAbove) {
  const box = document.createElement("button");
  box.type = "button";
  box.className = isAbove ? "frame above" : "frame";
  box.dataset.node = n;
  box.setAttribute("role", "treeitem");
  box.style.top = depth * ROW + "px";
  box.style.left = left + "px";
  box.style.width = Math.max(width - 1, 0.5) + "px";
  box.style.background = colour(n);
  if (width > 24) box.textContent = nameOf(n);
  else box.style.padding = "0";
  box.title = tell(n);
  box.setAttribute("aria-label", box.title);
  if (pattern && pattern.test(nameOf(n))) box.classList.add("found");
  graph.append(box);
}

function draw() {
  const width = graph.clientWidth || 800;
  graph.replaceChildren();
  const above = [];
  for (let n = zoom; n; n = parentOf(n)) above.unshift(parentOf(n));
  above.forEach((n, depth) => frame(n, depth, 0, width, true));
  let deepest = above.length;
  const whole = bytesOf(zoom, view, side);
  const place = (n, depth, left, width) => {
    if (width < NARROWEST) return;
    deepest = Math.max(deepest, depth);
    frame(n, depth, left, width, false);
    const sorted = children[n].filter(child => bytesOf(child, view, side) > 0);
    sorted.sort((a, b) => nameOf(a) < nameOf(b) ? -1 : 1);
    for (const child of sorted) {
      const part = width * bytesOf(child, view, side) / bytesOf(n, view, side);
      place(child, depth + 1, left, part);
      left += part;
    }
  };
  if (whole > 0) place(zoom, above.length, 0, width);
  graph.style.height = (deepest + 1) * ROW + "px";
  say();
}

// Bytes of the topmost frames that fit the search: none is counted twice.
function found() {
  let bytes = 0;
  const look = n => {
    if (n && pattern.test(nameOf(n))) bytes += bytesOf(n, view, side);
    else children[n].forEach(look);
  };
  look(zoom);
  return bytes;
}

function say() {
  const whole = bytesOf(0, view, side), shown = bytesOf(zoom, view, side);
  let text = `${human(whole)} ${data.views[view].name}`;
  if (data.is_difference) text = `${human(bytesOf(0, view, 1))} before, ${human(bytesOf(0, view, 0))} after; as wide as ${side ? "before" : "after"}`;
  if (whole === 0) text = `No ${data.views[view].name} bytes.`;
  if (zoom) text += `; shown: ${human(shown)}, ${share(shown, whole)}`;
  if (pattern) { const bytes = found(); text += `; found: ${human(bytes)}, ${share(bytes, shown)}`; }
  if (view === 3 && data.waste_of_nobody > 0) text += `; charged to nobody: ${human(data.waste_of_nobody)}`;
  status.textContent = text;
  at("meaning").textContent = data.views[view].meaning;
  for (const button of at("views").children) {
    if (button.dataset.view) button.setAttribute("aria-pressed", button.dataset.view === data.views[view].name);
    else button.textContent = side ? "as wide as before" : "as wide as after";
  }
  at("reset").disabled = zoom === 0;
}

function setPattern(text) {
  search.classList.remove("bad");
  pattern = null;
  if (!text) return;
  try { pattern = new RegExp(text, "i"); } catch { search.classList.add("bad"); }
}

// The address keeps what is shown, so that it can be sent to somebody.
let isOwn = false;
function keep() {
  const parts = new URLSearchParams({ view: data.views[view].name });
  if (zoom) parts.set("zoom", path(zoom).join(";"));
  if (search.value) parts.set("search", search.value);
  if (side) parts.set("side", "before");
  isOwn = true;
  location.hash = parts.toString();
  setTimeout(() => { isOwn = false; }, 0);
  draw();
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const wanted = data.views.findIndex(each => each.name === parts.get("view") && !each.missing);
  if (wanted >= 0) view = wanted;
  side = data.is_difference && parts.get("side") === "before" ? 1 : 0;
  search.value = parts.get("search") || "";
  setPattern(search.value);
  zoom = 0;
  const names = parts.get("zoom");
  for (const name of names ? names.split(";") : []) {
    const next = children[zoom].find(child => nameOf(child) === name);
    if (next === undefined) break;
    zoom = next;
  }
  draw();
}

data.views.forEach((each, number) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = each.name;
  button.dataset.view = each.name;
  button.disabled = Boolean(each.missing);
  button.title = each.missing || each.meaning;
  button.addEventListener("click", () => { view = number; keep(); });
  at("views").append(button);
});
if (data.is_difference) {
  const button = document.createElement("button");
  button.type = "button";
  button.id = "side";
  button.addEventListener("click", () => { side = 1 - side; keep(); });
  at("views").append(button);
}
at("title").textContent = data.title;
graph.addEventListener("click", event => {
  const node = event.target.dataset.node;
  if (node !== undefined) { zoom = Number(node); keep(); at("reset").focus({ preventScroll: true }); }
});
for (const kind of ["mouseover", "focusin"]) graph.addEventListener(kind, event => {
  const node = event.target.dataset.node;
  if (node !== undefined) detail.textContent = tell(Number(node)) + " \u2014 " + path(Number(node)).join(" \u203a ");
});
graph.addEventListener("mouseleave", () => { detail.textContent = hint; });
search.addEventListener("input", () => { setPattern(search.value); keep(); });
at("reset").addEventListener("click", () => { zoom = 0; keep(); });
addEventListener("keydown", event => {
  if (event.key === "Escape" && event.target !== search && zoom) { zoom = parentOf(zoom); keep(); }
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
});
addEventListener("resize", draw);
addEventListener("hashchange", () => { if (!isOwn) recall(); });
recall();
