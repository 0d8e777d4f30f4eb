"use strict";
// Draws the figures, sorts and filters the tables. Needs Plotly and #figures; talks to nobody, but
// for a page that a dashboard serves, which asks that dashboard whether there is a newer one.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const touch = matchMedia("(pointer: coarse)").matches;
const drawn = new Map(); // element of a panel -> its layout

// ---- figures

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = (own) => ({
    automargin: true,
    gridcolor: colour("--rule"),
    linecolor: colour("--rule"),
    zerolinecolor: colour("--rule"),
    ...own,
    title: { ...own?.title, standoff: 8, font: { size: 12, color: colour("--soft") } },
  });
  return {
    ...layout,
    xaxis: axis(layout.xaxis),
    yaxis: axis(layout.yaxis),
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--text") },
    hoverlabel: { namelength: -1, bgcolor: colour("--raised"), font: { color: colour("--text") } },
    hovermode: layout.hovermode ?? "closest",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { t: 12, r: 12, b: 44, l: 52 },
    showlegend: false,
    dragmode: touch ? false : "zoom",
  };
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "pan2d", "zoomIn2d", "zoomOut2d"],
};

async function draw(section, panels) {
  const box = section.querySelector(".panels");
  for (const old of box.querySelectorAll(".plot")) {
    Plotly.purge(old);
    drawn.delete(old);
  }
  box.replaceChildren();
  const plots = panels.map((panel) => frame(section, panel)); // first, so that columns have their width
  drawLegend(section, panels);
  for (const [i, panel] of panels.entries()) {
    drawn.set(plots[i], panel.layout);
    await Plotly.newPlot(plots[i], panel.data, themed(panel.layout), CONFIG);
  }
}

function frame(section, panel) {
  const box = section.querySelector(".panels").appendChild(document.createElement("div"));
  if (panel.title) box.appendChild(document.createElement("h4")).textContent = panel.title;
  const plot = box.appendChild(document.createElement("div"));
  plot.className = "plot";
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", panel.title || section.querySelector("h3").textContent);
  return plot;
}

function drawLegend(section, panels) {
  const legend = section.querySelector(".legend");
  const groups = new Map();
  for (const trace of panels.flatMap((panel) => panel.data))
    if (trace.showlegend !== false && trace.legendgroup && !groups.has(trace.legendgroup))
      groups.set(trace.legendgroup, trace);
  legend.replaceChildren();
  if (groups.size < 2) return;
  for (const [group, trace] of groups) {
    const button = legend.appendChild(document.createElement("button"));
    button.type = "button";
    button.setAttribute("aria-pressed", String(trace.visible !== false));
    button.append(swatch(trace), decoded(trace.name));
    button.addEventListener("click", () => toggle(section, group, button));
  }
}

const DASHES = { dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };

const SYMBOLS = {
  circle: "\u25cf", square: "\u25a0", diamond: "\u25c6", "triangle-up": "\u25b2", x: "\u2716",
  star: "\u2605", cross: "\u271a", pentagon: "\u2b1f",
};

function swatch(trace) {
  if (trace.mode !== "lines") {
    const symbol = document.createElement("span");
    symbol.textContent = SYMBOLS[[trace.marker.symbol].flat()[0]] ?? SYMBOLS[trace.type === "bar" ? "square" : "circle"];
    symbol.style.color = trace.marker.color;
    symbol.setAttribute("aria-hidden", "true");
    return symbol;
  }
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", "26");
  svg.setAttribute("height", "12");
  svg.setAttribute("aria-hidden", "true");
  const line = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  const values = { x1: 1, x2: 25, y1: 6, y2: 6, stroke: trace.line.color, "stroke-width": 2.5 };
  for (const [name, value] of Object.entries(values)) line.setAttribute(name, value);
  line.setAttribute("stroke-dasharray", DASHES[trace.line.dash] ?? "");
  return svg;
}

// Names are escaped for Plotly, which takes them for markup.
function decoded(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function toggle(section, group, button) {
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  for (const plot of section.querySelectorAll(".plot")) {
    const traces = plot.data.flatMap((trace, i) => (trace.legendgroup === group ? [i] : []));
    if (traces.length) Plotly.restyle(plot, { visible: shown }, traces);
  }
}

// For another colour scheme, or for paper, whose width no event tells.
function retheme() {
  for (const [plot, layout] of drawn) {
    const column = plot.closest(".panels").childElementCount > 1 ? 320 : 660;
    const size = paper.matches ? { width: column } : { width: null, autosize: true };
    Plotly.relayout(plot, { ...themed(layout), ...size });
  }
}

async function drawAll() {
  const all = JSON.parse(document.getElementById("figures").textContent);
  for (const { id, views } of all) {
    const section = document.getElementById(id);
    const labels = Object.keys(views);
    if (!labels.length) continue;
    const chosen = () =>
      section.querySelector("select")?.value ?? section.querySelector("input:checked")?.value ?? labels[0];
    section.addEventListener("change", () => draw(section, views[chosen()]));
    await draw(section, views[chosen()]);
    await new Promise((next) => setTimeout(next)); // the page stays usable meanwhile
  }
}

// ---- tables

function order(cell) {
  return cell.dataset.order === undefined ? null : Number(cell.dataset.order);
}

function compare(a, b) {
  const [x, y] = [order(a), order(b)];
  if (x === null && y === null) return a.textContent.localeCompare(b.textContent);
  return x === null ? 1 : y === null ? -1 : x - y;
}

function sort(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const rising = heading.getAttribute("aria-sort") !== "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column]));
  body.append(...(rising ? rows : rows.reverse()));
}

function filter(section) {
  const wanted = section.querySelector("input[type=search]").value.trim().toLowerCase();
  const kind = section.querySelector(".filters select").value;
  const rows = [...section.querySelector("table.arms").tBodies[0].rows];
  for (const row of rows)
    row.hidden = !row.textContent.toLowerCase().includes(wanted) || (kind !== "" && row.dataset.kind !== kind);
  const shown = rows.filter((row) => !row.hidden).length;
  section.querySelector("output").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} arms`;
}

const sortable = [...document.querySelectorAll("table.sortable")];
for (const table of sortable)
  [...table.tHead.rows[0].cells].forEach((cell, i) =>
    cell.firstElementChild.addEventListener("click", () => sort(table, i)),
  );
const filters = [...document.querySelectorAll(".filters")];
for (const form of filters) form.addEventListener("input", () => filter(form.closest("section")));

// ---- a page that a dashboard serves

const KEPT = "untuned-page";
const inputs = () => [...document.querySelectorAll("select, input")];
const topOf = (element) => element.getBoundingClientRect().top;

function keep() {
  // What is read stays where it is, though what stands above it may grow.
  const near = [...document.querySelectorAll("section[id]")].findLast((e) => topOf(e) < 80);
  const sorted = [...document.querySelectorAll("th[aria-sort]")].map((th) => ({
    table: sortable.indexOf(th.closest("table")),
    column: th.cellIndex,
    times: th.ariaSort === "ascending" ? 1 : 2,
  }));
  const anchor = near ? { id: near.id, top: topOf(near) } : null;
  const chosen = inputs().filter((input) => input.type !== "radio" || input.checked);
  const values = Object.fromEntries(chosen.map((input) => [input.name, input.value]));
  sessionStorage.setItem(KEPT, JSON.stringify({ anchor, sorted, values }));
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!kept) return;
  for (const input of inputs().filter((input) => input.name in kept.values)) {
    const value = kept.values[input.name];
    if (input.type === "radio") input.checked ||= input.value === value;
    else input.value = value;
    if (input.selectedIndex === -1) input.selectedIndex = 0; // that view is no more
  }
  for (const { table, column, times } of kept.sorted)
    for (let i = 0; i < times; i++) sort(sortable[table], column);
  for (const form of filters) filter(form.closest("section"));
  const near = kept.anchor && document.getElementById(kept.anchor.id);
  return () => near && scrollBy({ top: topOf(near) - kept.anchor.top, behavior: "instant" });
}

async function watch(version) {
  try {
    const answer = await fetch("version", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== version) {
      keep();
      location.reload();
      return;
    }
  } catch {
    document.querySelector(".progress").textContent = "The dashboard has stopped; this page is its last word.";
    return;
  }
  setTimeout(watch, 3000, version);
}

// ----

if (matchMedia("(max-width: 1199px)").matches) document.querySelector("nav details").open = false;
const live = document.body.dataset.version;
if (live) history.scrollRestoration = "manual";
const back = live && restore();
dark.addEventListener("change", retheme);
paper.addEventListener("change", retheme);
drawAll().then(() => {
  document.documentElement.dataset.ready = "true";
  back?.();
  if (live) watch(live);
});
