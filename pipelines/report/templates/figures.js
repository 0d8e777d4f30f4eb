"use strict";
// Draws the figures, their legends and names, and saves them as files. Needs #figures and, to draw, Plotly.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const touch = matchMedia("(pointer: coarse)").matches;
const drawn = new Map(); // element of a panel -> the panel
const plotly = new Promise((there) => document.addEventListener("DOMContentLoaded", there)); // its script stands last

const PAPER = { "--rule": "#dcdfe3", "--soft": "#5b636c", "--text": "#1c2024", "--raised": "#f5f6f7", "--ground": "#ffffff" };

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function themed(layout, colour = colourOf) {
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
    shapes: layout.shapes?.map((shape) => ({ ...shape, label: { ...shape.label, font: { ...shape.label?.font, color: colour("--soft") } } })),
    showlegend: false,
    dragmode: touch ? false : "zoom",
  };
}

// White in a colour scale stands for the ground, so that no white matrix shines in the dark.
function grounded(trace, colour = colourOf) {
  if (!trace.colorscale) return trace;
  const scale = trace.colorscale.map(([at, own]) => [at, own === "#ffffff" ? colour("--ground") : own]);
  return { ...trace, colorscale: scale };
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "pan2d", "zoomIn2d", "zoomOut2d"],
};

// The places of a view's panels, and its legend: they take their room before anything is drawn.
function layOut(section, panels) {
  const box = section.querySelector(".panels");
  for (const old of box.querySelectorAll(".plot")) {
    Plotly.purge(old);
    drawn.delete(old);
  }
  box.replaceChildren();
  drawLegend(section, panels);
  return panels.map((panel) => frame(section, panel));
}

async function draw(section, panels) {
  await plotly;
  const plots = layOut(section, panels); // all first, so that columns have their width
  for (const [i, panel] of panels.entries()) {
    drawn.set(plots[i], panel);
    await Plotly.newPlot(plots[i], panel.data.map((trace) => grounded(trace)), themed(panel.layout), CONFIG);
    await placeNames(plots[i]);
    if (panel.layout.annotations?.some(isName)) plots[i].on("plotly_relayout", (change) => "annotations" in change || placeNames(plots[i]));
  }
}

function frame(section, panel) {
  const box = section.querySelector(".panels").appendChild(document.createElement("div"));
  if (panel.title) box.appendChild(document.createElement("h4")).textContent = panel.title;
  const plot = box.appendChild(document.createElement("div"));
  plot.className = "plot";
  plot.style.minHeight = `${panel.layout.height}px`;
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", panel.title || section.querySelector("h3").textContent);
  return plot;
}

const LONG = 6; // entries of a legend; what is hidden at first is folded in a longer one

function drawLegend(section, panels) {
  const legend = section.querySelector(".legend");
  const groups = new Map();
  for (const trace of panels.flatMap((panel) => panel.data))
    if (trace.showlegend !== false && trace.legendgroup && !groups.has(trace.legendgroup))
      groups.set(trace.legendgroup, trace);
  legend.replaceChildren();
  if (groups.size < 2) return;
  const hidden = [...groups.values()].filter((trace) => trace.visible === false).length;
  const fold = groups.size > LONG && hidden ? foldOf(hidden) : null;
  for (const [group, trace] of groups) {
    const button = (trace.visible === false && fold ? fold : legend).appendChild(document.createElement("button"));
    button.type = "button";
    button.setAttribute("aria-pressed", String(trace.visible !== false));
    button.append(swatch(trace), decoded(trace.name));
    button.addEventListener("click", () => toggle(section, group, button));
  }
  if (fold) legend.append(fold);
}

function foldOf(count) {
  const fold = document.createElement("details");
  fold.appendChild(document.createElement("summary")).textContent = `${count} more`;
  return fold;
}

const DASHES = { dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };

const SYMBOLS = {
  circle: "\u25cf", square: "\u25a0", diamond: "\u25c6", "triangle-up": "\u25b2", x: "\u2716",
  star: "\u2605", cross: "\u271a", pentagon: "\u2b1f",
};

function swatch(trace) {
  if (!trace.mode?.includes("lines")) {
    const symbol = document.createElement("span");
    symbol.textContent = SYMBOLS[[trace.marker?.symbol].flat()[0]] ?? SYMBOLS[trace.type === "scatter" ? "circle" : "square"];
    symbol.style.color = trace.marker?.color ?? trace.colorscale[0][1];
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
  for (const [plot, panel] of drawn) {
    const column = plot.closest(".panels").childElementCount > 1 ? 320 : 660;
    const size = paper.matches ? { width: column } : { width: null, autosize: true };
    panel.data.forEach((trace, i) => trace.colorscale && Plotly.restyle(plot, { colorscale: [grounded(trace).colorscale] }, [i]));
    Plotly.relayout(plot, { ...themed(panel.layout), ...size }).then(() => placeNames(plot));
  }
}

// Every figure with a view of it that is chosen, none of them drawn yet.
function allFigures() {
  const all = JSON.parse(document.getElementById("figures").textContent);
  return all.flatMap(({ id, views }) => {
    const section = document.getElementById(id);
    if (!section) return []; // it has nothing to show
    const labels = Object.keys(views);
    const chosen = () =>
      section.querySelector("select")?.value ?? section.querySelector("input:checked")?.value ?? labels[0];
    const figure = { section, draw: () => draw(section, views[chosen()]) };
    section.addEventListener("change", figure.draw);
    offer(section, views, chosen);
    layOut(section, views[chosen()]);
    return [figure];
  });
}

// How far a figure is from what the window shows, in pixels; 0 in sight.
function distance({ section }) {
  const { top, bottom } = section.getBoundingClientRect();
  return Math.max(0, top - innerHeight, -bottom);
}

// The figures in sight first, the nearest of the others next; inSight is called between the two.
async function drawAll(figures, inSight) {
  const waiting = new Set(figures);
  while (waiting.size) {
    const next = [...waiting].reduce((a, b) => (distance(b) < distance(a) ? b : a));
    if (inSight && distance(next) > 0) {
      inSight();
      inSight = null;
    }
    waiting.delete(next);
    await next.draw();
    await new Promise((after) => setTimeout(after)); // the page stays usable meanwhile
  }
  inSight?.();
}
