"use strict";
// Draws what live.json says, and asks for it again. Names are text, never markup.

const PAUSE = 3000; // ms between two questions
const SVG = "http://www.w3.org/2000/svg";
const template = document.querySelector("template.study");
const seen = new WeakMap(); // what each study looked like at first
let running = []; // [element, when it started in ms]

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 100) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

const score = (value) => (value === null ? "" : value.toFixed(3));
const runs = (n) => `${n} ${n === 1 ? "run" : "runs"}`;

function add(parent, tag, text = "", kind = "") {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

// Text that has not changed is left alone: a selection in it stays.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(bar, done, planned) {
  bar.firstElementChild.style.width = `${planned ? (100 * done) / planned : 0}%`;
}

// ---- one study

function stateOf(study) {
  if (study.driver) return ["running", `on ${study.driver}`];
  if (study.done >= study.planned) return ["complete", ""];
  return ["stopped", "nobody drives it; the same launch goes on from here"];
}

// Runs that end in an hour, by what has ended since this page first saw the study being driven.
function speed(article, study) {
  const now = { at: performance.now(), done: study.done };
  const first = study.driver ? (seen.get(article) ?? now) : null;
  seen.set(article, first);
  if (!first || study.done <= first.done) return "";
  return `${runs(Math.round((3.6e6 * (study.done - first.done)) / (now.at - first.at)))} an hour since this page was opened`;
}

function head(article, study) {
  const [state, driver] = stateOf(study);
  say(article.querySelector("h1"), study.name);
  say(article.querySelector(".about"), study.about);
  const label = article.querySelector(".state");
  label.dataset.state = state;
  say(label, state);
  say(article.querySelector(".driver"), driver);
  say(article.querySelector(".done"), `${study.done} of ${runs(study.planned)}`);
  const left = study.eta === null ? "" : `about ${duration(study.eta)} left`;
  const hourly = speed(article, study);
  say(article.querySelector(".eta"), [left, hourly].filter(Boolean).join(", "));
  say(article.querySelector(".machines"), study.hosts && `Runs by machine: ${study.hosts}`);
  const bar = article.querySelector(".whole .bar");
  bar.setAttribute("aria-valuenow", study.done);
  bar.setAttribute("aria-valuemax", study.planned);
  fill(bar, study.done, study.planned);
}

function arms(article, study) {
  const body = article.querySelector(".arms tbody");
  body.replaceChildren();
  for (const arm of study.arms) {
    const row = add(body, "tr");
    add(row, "th", arm.arm).scope = "row";
    const cell = add(row, "td");
    const bar = add(cell, "div", "", "bar");
    bar.append(document.createElement("span"));
    fill(bar, arm.done, arm.planned);
    cell.append(`${arm.done} / ${arm.planned}`);
    add(row, "td", score(arm.best_val), "number");
    add(row, "td", arm.final_runs ? `${score(arm.final_val)} (n = ${arm.final_runs})` : "", "number");
    const left = arm.done < arm.planned ? arm.remaining_seconds : 0;
    add(row, "td", left === null ? "?" : left ? duration(left) : "", "number");
    add(row, "td", arm.runs ? duration(arm.seconds) : "", "number");
    for (const n of [arm.collapsed, arm.diverged, arm.failed]) add(row, "td", n ? String(n) : "", n ? "number bad" : "number");
    add(row, "td", arm.stopped ? String(arm.stopped) : "", "number");
  }
  say(
    article.querySelector(".arms .note"),
    `Scores are ${study.metric} on val; "best" is the best run of any kind, and flatters arms with many runs. ` +
      "Those on test are in the report.",
  );
}

function cards(article, study) {
  const section = article.querySelector(".running");
  say(section.querySelector("h2"), study.running.length ? `Running now: ${study.running.length}` : "Running now");
  say(section.querySelector(".none"), study.running.length ? "" : "No trial at the moment.");
  const box = section.querySelector(".cards");
  box.replaceChildren();
  for (const trial of study.running) {
    const card = add(box, "div", "", "card");
    card.dataset.key = trial.key;
    add(card, "h3", `${trial.arm} ${trial.repeat}.${trial.index}`);
    add(card, "p", [trial.role, trial.scenario, trial.attempt > 1 ? `attempt ${trial.attempt}` : ""].filter(Boolean).join(", "));
    const last = trial.curve.at(-1);
    const line = add(card, "p", `epoch ${trial.epoch}${trial.epochs ? ` of ${trial.epochs}` : ""}`);
    if (last) {
      line.append(", val ");
      add(line, "b", score(last[1]));
    }
    line.append(", ");
    running.push([add(line, "span"), 1000 * trial.started]);
    if (trial.curve.length > 1) plot(card, trial, study.metric);
    else add(card, "p", "its curve comes after a few seconds", "waiting");
  }
}

function plot(card, trial, metric) {
  const values = trial.curve.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const box = add(card, "div", "", "plot");
  add(box, "span", score(high), "high");
  add(box, "span", score(low), "low");
  const svg = box.appendChild(document.createElementNS(SVG, "svg"));
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${metric} on val by epoch: ${score(values[0])} to ${score(values.at(-1))}`);
  const axis = svg.appendChild(document.createElementNS(SVG, "line"));
  for (const [name, value] of Object.entries({ x1: 0, x2: 100, y1: 40, y2: 40, class: "axis" }))
    axis.setAttribute(name, value);
  const x = (epoch) => (100 * epoch) / Math.max(trial.epochs ?? 0, trial.epoch, 1);
  const y = (value) => (high > low ? 38 - (36 * (value - low)) / (high - low) : 20);
  const line = svg.appendChild(document.createElementNS(SVG, "polyline"));
  line.setAttribute("points", trial.curve.map(([epoch, value]) => `${x(epoch)},${y(value)}`).join(" "));
}

function wrong(article, study) {
  const section = article.querySelector(".wrong");
  section.hidden = !study.wrong.length;
  const list = section.querySelector("ul");
  list.replaceChildren();
  for (const line of study.wrong) add(list, "li", line);
  if (study.more_wrong) add(list, "li", `and ${study.more_wrong} more: see the report`);
}

// ---- all studies

function draw(studies) {
  const box = document.querySelector(".studies");
  while (box.children.length < studies.length) box.append(template.content.cloneNode(true));
  running = [];
  studies.forEach((study, i) => {
    for (const part of [head, arms, cards, wrong]) part(box.children[i], study);
  });
  const [done, planned] = ["done", "planned"].map((name) => studies.reduce((sum, s) => sum + s[name], 0));
  document.title = `${done}/${planned} ${studies.map((study) => study.name).join(", ")}`;
  tick();
}

function tick() {
  for (const [element, started] of running) say(element, duration(Math.max(0, (Date.now() - started) / 1000)));
}

function notice(text) {
  const box = document.querySelector(".notice");
  box.hidden = !text;
  say(box, text);
}

let tag = null;

async function watch() {
  try {
    const answer = await fetch("live.json", { cache: "no-cache" });
    if (answer.ok) {
      const changed = answer.headers.get("ETag") !== tag;
      if (changed) draw(await answer.json());
      tag = answer.headers.get("ETag");
      notice("");
    } else notice((await answer.text()).trim());
  } catch {
    notice("The dashboard does not answer; this is its last word.");
  }
  document.documentElement.dataset.ready = "true";
  setTimeout(watch, PAUSE);
}

setInterval(tick, 1000);
watch();
