// Sorts and filters the tables.

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
const filters = [...document.querySelectorAll(".filters:not(.of-trials, .of-labels)")];
for (const form of filters) form.addEventListener("input", () => filter(form.closest("section")));
