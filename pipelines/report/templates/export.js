// A figure as files: pictures of what is shown, on white; the numbers of all its views

function offer(section, views, chosen) {
  const ways = { PNG: () => picture(section, true), SVG: () => picture(section, false), CSV: () => table(views) };
  const box = section.querySelector(".files");
  for (const [kind, make] of Object.entries(ways)) {
    const button = box.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = kind;
    button.title = kind === "CSV" ? "the numbers of this figure" : `this figure as ${kind}`;
    button.addEventListener("click", async () => save(fileName(section, kind === "CSV" ? "" : chosen(), kind), await make()));
  }
}

function fileName(section, view, kind) {
  const name = view ? `${section.dataset.file}-${view}` : section.dataset.file;
  return `${name.replaceAll(/[^\w.-]+/g, "_")}.${kind.toLowerCase()}`;
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const TITLE_HEIGHT = 26;

// Its panels, one below the other, in one drawing.
async function picture(section, raster) {
  await allDrawn;
  const parts = [];
  let [width, height] = [0, 0];
  for (const plot of section.querySelectorAll(".plot")) {
    const panel = drawn.get(plot);
    const legend = section.querySelectorAll(".legend button").length > 0;
    const size = { width: Math.max(plot.clientWidth, 640), height: plot.clientHeight + (legend ? 60 : 0) };
    const url = await Plotly.toImage({ data: onPaper(plot.data, panel), layout: { ...paperLayout(plot, panel, legend), ...size } }, { format: "svg", ...size });
    if (panel.title) parts.push(`<text x="8" y="${height + 18}" font-family="sans-serif" font-size="14" font-weight="600">${escaped(panel.title)}</text>`);
    height += panel.title ? TITLE_HEIGHT : 0;
    parts.push(decodeURIComponent(url.slice(url.indexOf(",") + 1)).replace("<svg", `<svg y="${height}"`));
    [width, height] = [Math.max(width, size.width), height + size.height];
  }
  const box = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" ${box}><rect width="100%" height="100%" fill="#fff"/>${parts.join("")}</svg>`;
  const blob = new Blob([svg], { type: "image/svg+xml" });
  return raster ? rasterised(svg, width, height) : blob;
}

function onPaper(data, panel) {
  return data.map((trace, i) => (trace.colorscale ? { ...trace, colorscale: panel.data[i].colorscale } : trace));
}

function paperLayout(plot, panel, legend) {
  const colour = (name) => PAPER[name];
  const layout = themed({ ...panel.layout, annotations: plot.layout.annotations }, colour);
  return { ...layout, showlegend: legend, legend: { orientation: "h", y: -0.2 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff" };
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

async function rasterised(svg, width, height) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

const CSV_HEAD = ["view", "panel", "series", "x", "y", "low", "high", "z", "text"];

function table(views) {
  const rows = Object.entries(views).flatMap(([view, panels]) =>
    panels.flatMap((panel) => panelRows(panel).map((row) => [view, panel.title, ...row])),
  );
  const lines = [CSV_HEAD, ...rows].map((row) => row.map(cellText).join(","));
  return new Blob([`${lines.join("\n")}\n`], { type: "text/csv" });
}

function cellText(value) {
  const text = typeof value === "string" ? decoded(value) : String(value ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function panelRows(panel) {
  const bands = new Map(); // name -> x -> ends: a band is drawn as the outline of an area
  for (const trace of panel.data.filter((t) => t.fill === "toself")) {
    const half = trace.x.length / 2;
    const ends = (i) => [trace.y[i], trace.y[2 * half - 1 - i]];
    bands.set(trace.name, new Map(trace.x.slice(0, half).map((x, i) => [x, ends(i)])));
  }
  return panel.data.filter((t) => t.fill !== "toself").flatMap((trace) => (trace.z ? cellRows(trace) : pointRows(trace, bands.get(trace.name))));
}

function cellRows({ name, x, y, z, text, customdata }) {
  return z.flatMap((line, i) =>
    line.map((value, j) => [name, x?.[j] ?? j, y?.[i] ?? i, "", "", value, text?.[i][j] ?? customdata?.[i][j]]).filter((row) => row[5] !== null),
  );
}

function pointRows({ name, x, y, text, error_x: across, error_y: up }, band) {
  return x.map((at, i) => {
    const bars = across?.array ? [across, at] : [up, y[i]];
    const ends = bars[0]?.array && bars[0].array[i] !== null ? [bars[1] - bars[0].arrayminus[i], bars[1] + bars[0].array[i]] : [];
    const [low, high] = band?.get(at) ?? ends;
    return [name, at, y[i], low, high, "", text?.[i]];
  });
}
