"use strict";

async function copy(button) {
  const text = button.dataset.copy;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that is opened from a file may have no access to the clipboard.
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = done ? "copied" : "no access";
  setTimeout(() => (button.textContent = "copy"), 1500);
}

function key(row, index) {
  // Rows of failed cells have fewer columns; they and unknown values stay at the end.
  const value = row.cells[index] ? row.cells[index].dataset.sort : undefined;
  return value === undefined || value === "" || row.dataset.failed !== undefined ? null : Number(value);
}

function sort(button) {
  const heading = button.closest("th");
  const first = heading.dataset.first;
  const other = first === "ascending" ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  for (const cell of heading.parentElement.cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const body = heading.closest("table").tBodies[0];
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [key(row, heading.cellIndex), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || sign * (a - b));
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button));
