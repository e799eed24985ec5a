// The table of events: a row leads to the chart, columns sort, and long tables open on demand.

const eventTable = document.getElementById("events-table");
const moreEvents = document.getElementById("more-events");
const FIRST_EVENTS = 12;

const eventRows = eventTable ? [...eventTable.tBodies[0].rows] : [];

/** Scroll to the chart, which shows something else now. */
function showChart() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.getElementById("look").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  timeline.focus({ preventScroll: true });
}

function jump(number) {
  lookAtEvent(number);
  showChart();
}

for (const row of eventRows) {
  row.addEventListener("click", (event) => {
    if (event.target.closest("[data-jump]")) return; // leads to another event
    if (!getSelection().isCollapsed && !event.target.closest("button")) return; // text is selected
    jump(Number(row.dataset.event));
  });
}

for (const button of document.querySelectorAll("[data-jump]")) {
  button.addEventListener("click", () => jump(Number(button.dataset.jump)));
}

for (const button of document.querySelectorAll("[data-lane]")) {
  const { lane, start, end } = button.dataset;
  button.addEventListener("click", () => {
    lookAround({ machine: Number(lane), start: Number(start), end: Number(end) });
    showChart();
  });
}

function markChosen() {
  for (const row of eventRows) {
    const chosen = Number(row.dataset.event) === view.event;
    row.classList.toggle("chosen", chosen);
    if (chosen) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
}

function limitEvents() {
  const all = moreEvents === null || moreEvents.getAttribute("aria-expanded") === "true";
  [...(eventTable?.tBodies[0].rows ?? [])].forEach((row, place) => {
    row.classList.toggle("later", !all && place >= FIRST_EVENTS);
  });
}

moreEvents?.addEventListener("click", () => {
  const open = moreEvents.getAttribute("aria-expanded") !== "true";
  moreEvents.setAttribute("aria-expanded", String(open));
  moreEvents.textContent = open ? moreEvents.dataset.less : moreEvents.dataset.more;
  limitEvents();
});

for (const head of eventTable?.querySelectorAll("th[data-sort]") ?? []) {
  head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const place = head.cellIndex;
    const key = (row) => Number(row.cells[place].dataset.value);
    const order = eventRows.toSorted((a, b) => (down ? key(b) - key(a) : key(a) - key(b)));
    eventTable.tBodies[0].append(...order);
    limitEvents();
  });
}
