"use strict";
const all = (selector) => Array.from(document.querySelectorAll(selector));
const tabs = all(".tabs button");
const sections = all(".stage");
const rows = all(".stage li");
const names = (text) => text.split(" ").filter(Boolean);

function show(stage) {
  tabs.forEach((tab) => { tab.ariaPressed = String(tab.dataset.stage === stage); });
  sections.forEach((section) => { section.hidden = section.dataset.stage !== stage; });
}

// Lines that make what this one reads, and lines that read what it makes, on its side of the pass.
function trace(row) {
  rows.forEach((other) => other.classList.remove("chosen", "feeds", "reader"));
  row.classList.add("chosen");
  const reads = new Set(names(row.dataset.reads));
  const makes = new Set(names(row.dataset.makes));
  Array.from(row.parentElement.children).forEach((other) => {
    other.classList.toggle("feeds", names(other.dataset.makes).some((name) => reads.has(name)));
    other.classList.toggle("reader", names(other.dataset.reads).some((name) => makes.has(name)));
  });
}

function open(number) {
  const chosen = document.querySelector(`.choose[data-miss="${number}"]`);
  all(".choose").forEach((button) => {
    const opens = button === chosen && button.ariaExpanded !== "true";
    button.ariaExpanded = String(opens);
    document.getElementById(`miss-${button.dataset.miss}`).hidden = !opens;
  });
  if (chosen.ariaExpanded !== "true") return;
  show(chosen.dataset.stage);
  const marked = `.stage:not([hidden]) .miss[data-miss="${number}"]`;
  const row = document.querySelector(marked)?.closest("li");
  if (row) {
    trace(row);
    row.scrollIntoView({ block: "nearest" });
  }
}

tabs.forEach((tab) => tab.addEventListener("click", () => show(tab.dataset.stage)));
all(".choose, .miss").forEach((button) => {
  button.addEventListener("click", () => open(button.dataset.miss));
});
all(".stage code").forEach((code) => {
  code.addEventListener("click", () => trace(code.parentElement));
  code.addEventListener("keydown", (event) => {
    if (event.key === "Enter") trace(code.parentElement);
  });
});
const first = tabs.find((tab) => tab.querySelector("small").textContent !== "0") ?? tabs[0];
show(first.dataset.stage);
