"use strict";
const body = document.querySelector("tbody");
const rows = Array.from(body.rows);
const heads = Array.from(document.querySelectorAll("thead th[data-kind]"));
const chips = Array.from(document.querySelectorAll(".tools button"));
const search = document.querySelector(".tools input");

function compare(kind, a, b) {
  if (kind === "text") return a.localeCompare(b, "en", { numeric: true });
  // What is no number (a missing metric's change) stands last, whichever way the rest is sorted.
  const [x, y] = [a, b].map((value) => (value === "" ? NaN : Number(value)));
  if (Number.isNaN(x) || Number.isNaN(y)) return null;
  return x === y ? 0 : x < y ? -1 : 1;
}

function sort(head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  const column = head.cellIndex;
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.sort;
  const sorted = [...rows].sort((a, b) => {
    const order = compare(head.dataset.kind, key(a), key(b));
    if (order === null) return (key(a) === "") - (key(b) === "");
    return down ? -order : order;
  });
  body.append(...sorted);
}

function filter() {
  const off = new Set(chips.filter((c) => c.ariaPressed === "false").map((c) => c.value));
  const words = search.value.toLowerCase();
  const hides = (one) => off.has(one.dataset.verdict) || !one.dataset.name.includes(words);
  document.querySelectorAll("[data-verdict]").forEach((one) => { one.hidden = hides(one); });
}

heads.forEach((head) => head.querySelector("button").addEventListener("click", () => sort(head)));
chips.forEach((chip) => chip.addEventListener("click", () => {
  chip.ariaPressed = chip.ariaPressed === "true" ? "false" : "true";
  filter();
}));
search.addEventListener("input", filter);
