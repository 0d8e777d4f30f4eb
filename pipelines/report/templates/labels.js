// The contact sheet of suspects: says of each example which label it really has, and saves that.

const DECIDED = "untuned-verified"; // in this browser's storage, by study: label by example
const WAYS = { a: "the given label is right", r: "it is wrong, the suggested one is right", l: "another one is right" };

function kept(study) {
  try {
    return JSON.parse(localStorage.getItem(`${DECIDED} ${study}`) ?? "{}");
  } catch {
    return {}; // a browser may keep nothing for files
  }
}

function keepDecisions(study, decided) {
  try {
    localStorage.setItem(`${DECIDED} ${study}`, JSON.stringify(decided));
  } catch {
    // then they last as long as the page
  }
}

function labelSheet(sheet) {
  const form = sheet.parentElement.querySelector(".of-labels");
  const state = { sheet, form, items: [...sheet.children], classes: JSON.parse(sheet.dataset.classes), study: sheet.dataset.study };
  state.decided = kept(state.study);
  for (const item of state.items) addControls(state, item);
  offerPairs(state);
  form.hidden = false;
  form.addEventListener("input", () => showPair(state));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector(".save").addEventListener("click", () => save("verified.csv", verified(state)));
  sheet.addEventListener("keydown", (event) => onKey(state, event));
  sheet.addEventListener("focusin", (event) => rove(state, event.target.closest("li")));
  showDecisions(state);
  rove(state, state.items[0]);
}

function addControls(state, item) {
  const { given, suggested } = item.dataset;
  const box = item.appendChild(element("div", "", { className: "ways" }));
  const button = (key, text, label) => {
    const made = box.appendChild(element("button", text, { type: "button", title: `${WAYS[key]} (${key})`, tabIndex: -1 }));
    made.addEventListener("click", () => decide(state, item, label));
  };
  button("a", `is ${given}`, given);
  button("r", `is ${suggested}`, suggested);
  if (state.classes.length < 3) return;
  const select = box.appendChild(element("select", "", { title: `${WAYS.l} (l)`, tabIndex: -1, name: `${state.study}-label-${state.items.indexOf(item)}` }));
  select.append(element("option", "other …", { value: "" }), ...state.classes.map((name) => element("option", name, { value: name })));
  select.addEventListener("change", () => select.value && decide(state, item, select.value));
}

function offerPairs({ items, form }) {
  const pairs = new Map();
  for (const { dataset } of items) {
    const pair = `${dataset.given} → ${dataset.suggested}`;
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  const often = [...pairs].sort((a, b) => b[1] - a[1]);
  form.querySelector("select").append(...often.map(([pair, n]) => element("option", `${pair} (${n})`, { value: pair })));
}

function showPair({ items, form }) {
  const wanted = form.querySelector("select").value;
  for (const item of items) item.hidden = wanted !== "" && `${item.dataset.given} → ${item.dataset.suggested}` !== wanted;
}

function decide(state, item, label) {
  if (label === null) delete state.decided[item.dataset.name];
  else state.decided[item.dataset.name] = label;
  keepDecisions(state.study, state.decided);
  showDecisions(state);
}

function showDecisions({ items, decided, form }) {
  for (const item of items) {
    const label = decided[item.dataset.name];
    item.classList.toggle("verified", label !== undefined);
    const says = item.querySelector(".says") ?? item.appendChild(element("p", "", { className: "says" }));
    says.textContent = label === undefined ? "" : `verified: ${label}`;
  }
  const names = new Set(items.map((item) => item.dataset.name));
  const count = [...names].filter((name) => name in decided).length;
  form.querySelector(".save").disabled = count === 0;
  form.querySelector("output").textContent = `${count} of ${names.size} examples verified`;
}

function onKey(state, event) {
  const item = event.target.closest("li");
  if (event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const { given, suggested } = item.dataset;
  const label = { a: given, r: suggested, Backspace: null, Delete: null }[event.key];
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (label !== undefined) {
    decide(state, item, label);
    if (label !== null) step(state, item, 1);
  } else if (by) step(state, item, by);
  else if (event.key === "l") item.querySelector("select")?.focus();
  else return;
  event.preventDefault();
}

function step({ items }, item, by) {
  const shownItems = items.filter((other) => !other.hidden);
  shownItems[shownItems.indexOf(item) + by]?.focus();
}

// One example at a time is reached by the tab key.
function rove({ items }, item) {
  for (const other of items) other.tabIndex = other === item ? 0 : -1;
}

function verified({ items, decided }) {
  const names = [...new Set(items.map((item) => item.dataset.name))].filter((name) => name in decided);
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [["path", "label"], ...names.map((name) => [name, decided[name]])];
  return new Blob([lines.map((line) => `${line.map(cell).join(",")}\n`).join("")], { type: "text/csv" });
}

for (const sheet of document.querySelectorAll(".sheet[data-classes]")) labelSheet(sheet);
