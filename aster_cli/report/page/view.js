// What is looked at: one machine, a stretch of time, and perhaps an event. Charts follow it.

const view = { machine: 0, from: 0, to: 1, event: null };
const followers = [];
const status = document.getElementById("status");

const machineOf = () => given.machines[view.machine];
const wholeOf = (machine) => {
  const room = (machine.end - machine.start || clock.step) * 0.01;
  return [machine.start - room, machine.end + room];
};

/** Look elsewhere; a stretch is kept inside the log and no shorter than a few rows. */
function look({ machine = view.machine, from, to, event = null }) {
  const [first, last] = wholeOf(given.machines[machine]);
  const least = Math.min(clock.step * 8, last - first);
  let span = Math.min(Math.max(to - from, least), last - first);
  const start = Math.min(Math.max((from + to - span) / 2, first), last - span);
  Object.assign(view, { machine, from: start, to: start + span, event });
  for (const follow of followers) follow();
  status.textContent = told();
}

function told() {
  const shown = given.events.filter((event) => (
    event.machine === view.machine && event.end >= view.from && event.start <= view.to));
  const [from, to] = [Math.max(view.from, machineOf().start), Math.min(view.to, machineOf().end)];
  const span = to - from;
  const who = given.machines.length > 1 ? `${machineOf().name}, ` : "";
  const events = shown.length === 1 ? "1 event" : `${shown.length} events`;
  return `${who}${moment(from, span)} to ${moment(to, span)}, ${length(span)}: ${events}`;
}

const lookAtAll = (machine = view.machine) => {
  const [from, to] = wholeOf(given.machines[machine]);
  look({ machine, from, to });
};

/** Zoom around a point of the view; a factor above 1 goes closer. */
function zoom(factor, around = (view.from + view.to) / 2) {
  look({
    from: around - (around - view.from) / factor,
    to: around + (view.to - around) / factor,
    event: view.event,
  });
}

function pan(part) {
  const by = (view.to - view.from) * part;
  look({ from: view.from + by, to: view.to + by, event: view.event });
}

/** A stretch with what came before and after it. */
function lookAround({ machine, start, end }, event = null) {
  const room = Math.max((end - start) * 1.2, clock.step * 40);
  look({ machine, from: start - room, to: end + room, event });
}

const lookAtEvent = (number) => lookAround(given.events[number], number);

/** The next event in the order of severity, or the one before it. */
function step(by) {
  if (!given.events.length) return;
  const last = given.events.length - 1;
  lookAtEvent(view.event === null ? (by > 0 ? 0 : last)
    : Math.min(Math.max(view.event + by, 0), last));
}

const KEYS = {
  ArrowLeft: () => pan(-0.25),
  ArrowRight: () => pan(0.25),
  "+": () => zoom(2),
  "=": () => zoom(2),
  "-": () => zoom(0.5),
  0: () => lookAtAll(),
  Home: () => lookAtAll(),
  n: () => step(1),
  p: () => step(-1),
};

/** Keys and the pointer on a chart of the view; `toTime` turns a place on it into a time. */
function takeInput(holder, toTime) {
  let start = null;
  const box = document.createElement("div");
  box.className = "selection";
  const place = (event) => event.clientX - holder.getBoundingClientRect().left;
  holder.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  holder.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = place(event);
    holder.setPointerCapture(event.pointerId);
    holder.append(box);
    box.style.width = "0";
  });
  holder.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const now = place(event);
    box.style.left = `${Math.min(start, now)}px`;
    box.style.width = `${Math.abs(now - start)}px`;
  });
  const end = (event) => {
    box.remove();
    if (start === null) return;
    const [from, to] = [start, place(event)].toSorted((a, b) => a - b);
    start = null;
    if (event.type === "pointerup" && to - from > 6) look({ from: toTime(from), to: toTime(to) });
  };
  holder.addEventListener("pointerup", end);
  holder.addEventListener("pointercancel", end);
  holder.addEventListener("dblclick", () => lookAtAll());
  holder.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a pinch, too, comes with ctrl; without it the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, toTime(place(event)));
  }, { passive: false });
}

// one line across all charts, and what each of them has there

const cursor = { at: null, followers: [] };

function pointAt(time) {
  cursor.at = time;
  for (const follow of cursor.followers) follow();
}

/** The bin of the machine in view that a time falls into. */
function binAt(time) {
  const [first, last] = machineOf().bins;
  let [low, high] = [first, last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bins.time[middle] <= time) low = middle + 1; else high = middle;
  }
  return Math.max(low - 1, first);
}

/** The values of a bin: one, or the lowest and the highest of its rows. */
function valueAt({ low, high }, bin) {
  if (Number.isNaN(low[bin])) return "–";
  const [least, most] = [number(low[bin]), number(high[bin])];
  return least === most ? least : `${least} to ${most}`;
}
