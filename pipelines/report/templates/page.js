// Starts the page: all but the figures before Plotly, whose megabytes take a second to read.
// It talks to nobody, but where a dashboard serves it: it asks that one for a newer page.

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
  for (const form of document.querySelectorAll(".of-labels")) form.dispatchEvent(new Event("input"));
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
// Six short answers fit the first screen of a phone; what asks for attention says why at once.
if (matchMedia("(max-width: 640px)").matches)
  for (const line of document.querySelectorAll(".answer details:not(.alarm)")) line.open = false;
const live = document.body.dataset.version;
if (live) history.scrollRestoration = "manual";
const back = live && restore();
dark.addEventListener("change", retheme);
paper.addEventListener("change", retheme);
const page = document.documentElement;
const ready = () => (page.dataset.ready = "true"); // to read and to use; figures below may still be empty
const figures = allFigures();
showTrials();
back?.();
if (figures.every((figure) => distance(figure) > 0)) ready();
const allDrawn = drawAll(figures, ready).then(() => (page.dataset.drawn = "true"));
if (live) allDrawn.then(() => watch(live));
