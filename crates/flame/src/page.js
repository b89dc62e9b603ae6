"use strict";
// Data: a flat list of nodes, each `parent, name, bytes...`; a parent comes before its children. What is drawn follows
// from four things, which the address bar keeps: the view, the zoomed node, the search, and before or after. Stacks may be
// thousands of frames deep: nothing calls itself along a path, and of many boxes only those in sight are elements.
const data = JSON.parse(document.getElementById("data").textContent);
const VIEWS = data.views.length, SIDES = data.is_difference ? 2 : 1;
const STRIDE = 2 + VIEWS * SIDES, ROW = 20, NARROWEST = 0.8;
// More boxes than that are drawn as they come into sight; more rows above a zoomed frame are folded into one; more names of
// a path are left out of its text.
const MOST_BOXES = 2000, MOST_ABOVE = 8, MOST_NAMES = 12;
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

// Node numbers from the outermost function to `n`.
function pathTo(n) {
  const nodes = [];
  for (; n; n = parentOf(n)) nodes.push(n);
  return nodes.reverse();
}

function pathText(n) {
  const names = pathTo(n).map(nameOf), more = names.length - MOST_NAMES;
  if (more > 1) names.splice(2, more, `(${more.toLocaleString("en")} more)`);
  return names.join(" \u203a ");
}

// Tells paths apart in links: a number may mean another frame on another page.
function pathMark(n) {
  let mark = 17;
  for (const node of pathTo(n)) for (const letter of nameOf(node) + "\n") mark = Math.imul(mark, 31) + letter.codePointAt(0) | 0;
  return (mark >>> 0).toString(36);
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

// What there is to draw, and the elements of those boxes that are drawn, by their numbers.
let boxes = [], rows = 0;
const drawn = new Map();

function layOut() {
  const width = graph.clientWidth || 800;
  const above = zoom ? [0, ...pathTo(parentOf(zoom))] : [];
  // Of a deep frame's ancestors the first and the nearest stay.
  const folded = above.length > MOST_ABOVE + 1 ? above.length - MOST_ABOVE : 0;
  boxes = [];
  rows = 0;
  above.forEach((n, depth) => {
    if (depth && depth < folded) return;
    boxes.push({ n, row: rows++, left: 0, width, kind: "above", folded: depth && depth === folded ? folded : 0 });
  });
  const todo = bytesOf(zoom, view, side) > 0 ? [{ n: zoom, row: rows, left: 0, width }] : [];
  while (todo.length) {
    const box = todo.pop();
    boxes.push(box);
    rows = Math.max(rows, box.row + 1);
    const below = children[box.n].filter(child => bytesOf(child, view, side) > 0);
    below.sort((a, b) => nameOf(a) < nameOf(b) ? 1 : -1);
    let right = box.left + box.width * below.reduce((sum, child) => sum + bytesOf(child, view, side), 0) / bytesOf(box.n, view, side);
    // The last is put away first: it is drawn last.
    for (const n of below) {
      const width = box.width * bytesOf(n, view, side) / bytesOf(box.n, view, side);
      right -= width;
      if (width >= NARROWEST) todo.push({ n, row: box.row + 1, left: right, width });
    }
  }
}

function element({ n, row, left, width, kind, folded }) {
  const box = document.createElement("button");
  box.type = "button";
  box.className = kind ? "frame " + kind : "frame";
  box.dataset.node = n;
  box.setAttribute("role", "treeitem");
  box.style.top = row * ROW + "px";
  box.style.left = left + "px";
  box.style.width = Math.max(width - 1, 0.5) + "px";
  box.style.background = colour(n);
  const count = folded ? folded.toLocaleString("en") : "";
  if (width > 24) box.textContent = folded ? `\u22ee ${count} frames, the innermost: ${nameOf(n)}` : nameOf(n);
  else box.style.padding = "0";
  box.title = folded ? `${count} frames are folded here, down to ${tell(n)}` : tell(n);
  box.setAttribute("aria-label", box.title);
  if (pattern && pattern.test(nameOf(n))) box.classList.add("found");
  return box;
}

// Makes elements of the boxes that are in sight or near it, and lets go of others.
function paint() {
  const isFew = boxes.length <= MOST_BOXES, top = graph.getBoundingClientRect().top;
  const first = (-top - innerHeight) / ROW, last = (2 * innerHeight - top) / ROW;
  boxes.forEach((box, number) => {
    const isNear = isFew || (box.row >= first && box.row <= last), old = drawn.get(number);
    if (isNear && !old) {
      const fresh = element(box);
      drawn.set(number, fresh);
      graph.append(fresh);
    } else if (old && !isNear && old !== document.activeElement) {
      old.remove();
      drawn.delete(number);
    }
  });
}

function draw() {
  graph.replaceChildren();
  drawn.clear();
  // Twice where the bar to scroll with comes or goes, as it takes from the width.
  for (let width = -1; width !== graph.clientWidth;) {
    width = graph.clientWidth;
    layOut();
    const height = rows * ROW + "px";
    if (graph.style.height === height) break;
    graph.style.height = height;
  }
  paint();
  say();
}

// Bytes of the topmost frames that fit the search: none is counted twice.
function found() {
  let bytes = 0;
  const todo = [zoom];
  while (todo.length) {
    const n = todo.pop();
    if (n && pattern.test(nameOf(n))) bytes += bytesOf(n, view, side);
    else for (const child of children[n]) todo.push(child);
  }
  return bytes;
}

function say() {
  const whole = bytesOf(0, view, side), shown = bytesOf(zoom, view, side);
  let text = `${human(whole)} ${data.views[view].name}`;
  if (data.is_difference) text = `${human(bytesOf(0, view, 1))} before, ${human(bytesOf(0, view, 0))} after; as wide as ${side ? "before" : "after"}`;
  else if (whole === 0) text = view === 3 ? "No waste is charged to a stack" : `No ${data.views[view].name} bytes`;
  if (zoom) text += `; shown: ${human(shown)}, ${share(shown, whole)}`;
  if (pattern) { const bytes = found(); text += `; found: ${human(bytes)}, ${share(bytes, shown)}`; }
  if (view === 3 && data.waste_of_nobody > 0) text += `; charged to nobody: ${human(data.waste_of_nobody)}`;
  if (rows * ROW > innerHeight) text += `; ${rows.toLocaleString("en")} rows: scroll`;
  status.textContent = text;
  at("meaning").textContent = data.views[view].meaning + (data.is_difference ? " Red grew, blue shrank." : "");
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

// Of a difference where a side has nothing, the other is drawn.
function settle() {
  if (data.is_difference && bytesOf(0, view, side) === 0 && bytesOf(0, view, 1 - side) > 0) side = 1 - side;
}

// The address keeps what is shown, so that it can be sent to somebody. A frame is its number and a mark of its path.
let written = null;
function keep() {
  settle();
  const parts = new URLSearchParams({ view: data.views[view].name });
  if (zoom) parts.set("zoom", `${zoom}.${pathMark(zoom)}`);
  if (search.value) parts.set("search", search.value);
  if (side) parts.set("side", "before");
  history.replaceState(null, "", "#" + parts);
  written = location.hash;
  draw();
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const wanted = data.views.findIndex(each => each.name === parts.get("view") && !each.missing);
  if (wanted >= 0) view = wanted;
  side = data.is_difference && parts.get("side") === "before" ? 1 : 0;
  settle();
  search.value = parts.get("search") || "";
  setPattern(search.value);
  const [number, mark] = (parts.get("zoom") || "").split(".");
  const n = Number(number);
  zoom = Number.isInteger(n) && n > 0 && n < count && pathMark(n) === mark ? n : 0;
  draw();
}

function zoomTo(n) {
  zoom = n;
  scrollTo(0, 0);
  keep();
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
  if (node !== undefined) { zoomTo(Number(node)); at("reset").focus({ preventScroll: true }); }
});
for (const kind of ["mouseover", "focusin"]) graph.addEventListener(kind, event => {
  const node = event.target.dataset.node;
  if (node !== undefined) detail.textContent = tell(Number(node)) + " \u2014 " + pathText(Number(node));
});
graph.addEventListener("mouseleave", () => { detail.textContent = hint; });
search.addEventListener("input", () => { setPattern(search.value); keep(); });
at("reset").addEventListener("click", () => zoomTo(0));
addEventListener("keydown", event => {
  if (event.key === "Escape" && event.target !== search && zoom) zoomTo(parentOf(zoom));
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
});
addEventListener("resize", draw);
addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
addEventListener("hashchange", () => { if (location.hash !== written) recall(); });
recall();
