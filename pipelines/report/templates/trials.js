// The table of all trials, and the view of one: its curves, configuration, weights and files.

const ALL_TRIALS = JSON.parse(document.getElementById("trials").textContent);
const AT_ONCE = 300; // rows; a button brings the others
const COLUMNS = [
  ["arm", "arm"], ["role", "role"], ["repeat", "repeat"], ["index", "trial"], ["configuration", "configuration"],
  ["val", "val"], ["test", "test"], ["seconds", "seconds"], ["status", "status"],
];
const NUMBERS = new Set(["repeat", "index", "val", "test", "seconds"]);

function element(tag, text = "", properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== "") made.textContent = text;
  return made;
}

function shown(study, trial, column) {
  const value = trial[column];
  if (value === null || value === undefined) return "–";
  if (column === "val" || column === "test") return (study.scale * value).toFixed(study.digits);
  if (column === "seconds") return value.toFixed(1);
  if (column === "role" && trial.also) return `${value} (${trial.also})`;
  if (column === "arm" && trial.scenario) return `${value}, ${trial.scenario}`;
  return String(value);
}

function configuration(trial) {
  const entries = Object.entries(trial.config);
  return entries.map(([name, value]) => `${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`).join(", ");
}

function trialTable(section, study, anchor) {
  const form = section.querySelector(".of-trials");
  const table = section.querySelector("table");
  const more = section.querySelector(".more");
  const state = { column: null, rising: true, limit: AT_ONCE };
  for (const trial of study.trials) trial.configuration = configuration(trial);
  for (const name of ["arm", "role", "status"]) {
    const select = form.querySelector(`select[name$="${name}"]`);
    for (const value of new Set(study.trials.map((trial) => trial[name]))) select.append(element("option", value));
  }
  const render = () => renderTrials(section, study, anchor, state);
  COLUMNS.forEach(([name, title], i) => {
    const cell = table.tHead.rows[0].appendChild(element("th", "", { scope: "col", className: NUMBERS.has(name) ? "number" : "" }));
    cell.append(element("button", title, { type: "button" }));
    cell.firstChild.addEventListener("click", () => {
      state.rising = state.column === i ? !state.rising : true;
      state.column = i;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
      render();
    });
  });
  form.addEventListener("input", () => ((state.limit = AT_ONCE), render()));
  more.addEventListener("click", () => ((state.limit = Infinity), render()));
  render();
}

function chosenTrials(section, study, { column, rising }) {
  const form = section.querySelector(".of-trials");
  const words = form.querySelector("input").value.trim().toLowerCase().split(/\s+/);
  const only = ["arm", "role", "status"].map((name) => [name, form.querySelector(`select[name$="${name}"]`).value]);
  const text = (trial) => `${trial.key} ${COLUMNS.map(([name]) => shown(study, trial, name)).join(" ")}`.toLowerCase();
  const fits = (trial) => only.every(([name, value]) => !value || trial[name] === value || (name === "role" && trial.also.split(" ").includes(value)));
  const trials = study.trials.filter((trial) => fits(trial) && words.every((word) => text(trial).includes(word)));
  if (column === null) return trials;
  const [name] = COLUMNS[column];
  const known = trials.filter((trial) => trial[name] !== null);
  known.sort((a, b) => (NUMBERS.has(name) ? a[name] - b[name] : String(a[name]).localeCompare(b[name])));
  return [...(rising ? known : known.reverse()), ...trials.filter((trial) => trial[name] === null)];
}

function renderTrials(section, study, anchor, state) {
  const trials = chosenTrials(section, study, state);
  const all = study.trials.length;
  section.querySelector("output").textContent = trials.length === all ? `${all} trials` : `${trials.length} of ${all} trials`;
  section.querySelector(".more").hidden = trials.length <= state.limit;
  const rows = trials.slice(0, state.limit).map((trial) => {
    const row = element("tr");
    COLUMNS.forEach(([name], i) => {
      const text = shown(study, trial, name);
      const cell = row.appendChild(i ? element("td", text) : element("th", "", { scope: "row" }));
      if (NUMBERS.has(name)) cell.className = "number";
      if (!i) cell.append(element("a", text, { href: `#trial-${anchor}-${trial.key}` }));
    });
    return row;
  });
  section.querySelector("tbody").replaceChildren(...rows);
}

// ---- the view of one trial

const view = document.querySelector("dialog.trial");

function openTrial() {
  const [, anchor, key] = location.hash.match(/^#trial-(study-\d+)-(.+)$/) ?? [];
  const study = ALL_TRIALS[anchor];
  const trial = study?.trials.find((one) => one.key === decodeURIComponent(key));
  if (!trial) return view.open && view.close();
  fillView(study, trial);
  if (!view.open) view.showModal();
  drawTrial(study, trial);
}

function fillView(study, trial) {
  view.querySelector("h2").textContent = `${trial.arm}: ${shown(study, trial, "role")}, repeat ${trial.repeat}, trial ${trial.index}`;
  const facts = [
    ["status", trial.error || trial.collapse ? `${trial.status}: ${trial.error || trial.collapse}` : trial.status],
    ["configuration", trial.configuration || "nothing is tuned"],
    [`val ${study.metric}`, shown(study, trial, "val")],
    [`test ${study.metric}`, shown(study, trial, "test")],
    ["seconds", shown(study, trial, "seconds")],
    ["key", trial.key],
  ];
  view.querySelector("dl").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  const links = trial.files.map((file) => [file.split("/").pop(), study.link + file]);
  if (location.protocol === "file:") links.push(["directory", `${study.link}${trial.folder}/`]); // nobody else lists one
  if (study.tracked?.keys.includes(trial.key)) links.push(["W&B run", study.tracked.url.replace("{key}", trial.key)]);
  view.querySelector(".links").replaceChildren(...links.map(([name, href]) => element("a", name, { href })));
}

async function drawTrial(study, trial) {
  await plotly;
  const box = view.querySelector(".panels");
  for (const old of box.querySelectorAll(".plot")) {
    Plotly.purge(old);
    drawn.delete(old);
  }
  box.replaceChildren();
  view.querySelector(".none").hidden = Boolean(trial.epochs);
  if (!trial.epochs) return;
  const line = (y, colour) => [{ type: "scatter", mode: "lines", x: trial.epochs, y, line: { color: colour, width: 2 } }];
  const layout = (title, extra = {}) => ({ xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: title } }, height: 240, ...extra });
  const panels = [{ data: line(trial.vals, "#2f8fcb"), layout: layout(`val ${study.metric}`) }, { data: line(trial.losses, "#dd6b1f"), layout: layout("train loss") }];
  if (trial.weights) panels.push(weightsPanel(study, trial));
  const plots = panels.map(() => box.appendChild(element("div", "", { className: "plot" }))); // first: columns have their width
  for (const [i, panel] of panels.entries()) {
    drawn.set(plots[i], { title: "", ...panel });
    await Plotly.newPlot(plots[i], panel.data, themed(panel.layout), CONFIG);
  }
}

function weightsPanel(study, { weights }) {
  const total = (counts) => Math.max(1, counts.reduce((a, b) => a + b));
  const shares = weights.map((counts) => counts.map((n) => (100 * n) / total(counts)));
  const bins = study.edges.map((low, i) => (i + 1 < study.edges.length ? `${low}–${study.edges[i + 1]}` : `≥ ${low}`));
  const bars = [["clean", "#12a37a"], ["corrupted", "#dd6b1f"]];
  return {
    data: bars.map(([name, color], i) => ({ type: "bar", name, x: bins, y: shares[i], marker: { color } })),
    layout: {
      xaxis: { title: { text: "weight / mean weight (green: clean, orange: corrupted)" }, type: "category" },
      yaxis: { title: { text: "% of examples" } },
      height: 240,
    },
  };
}

function showTrials() {
  for (const [anchor, study] of Object.entries(ALL_TRIALS)) {
    const section = document.getElementById(`${anchor}-trials`);
    const fold = section.querySelector("details");
    fold.addEventListener("toggle", () => fold.open && !fold.dataset.built && ((fold.dataset.built = "yes"), trialTable(section, study, anchor)));
  }
  addEventListener("hashchange", openTrial);
  view.addEventListener("close", () => location.hash.startsWith("#trial-") && history.replaceState(null, "", location.pathname + location.search));
  view.querySelector("button").addEventListener("click", () => view.close());
  openTrial();
}
