// The score over time, with its threshold and its events; below it every machine in one lane.

const timeline = document.getElementById("timeline");
const lanes = document.getElementById("lanes");
const readout = document.getElementById("readout");

/** The word of a severity, which is also its class. */
function severityOf(severity) {
  return given.severities.find(([least]) => severity >= least)?.[1] ?? "low";
}

/** A severity as the table has it: cut, not rounded, so that what is below 99 does not read as 99. */
const severityText = (severity) => (
  Number.isNaN(severity) ? "–" : (Math.floor(severity * 10) / 10).toFixed(1));

/** Tinted stretches behind a chart: the events in view, the chosen one stronger; and labels. */
function stretches(plot, x, { labels = false } = {}) {
  const clip = (at) => Math.min(Math.max(at, plot.left), plot.right);
  given.events.forEach((event, place) => {
    if (event.machine !== view.machine || event.end < view.from || event.start > view.to) return;
    const [start, end] = [clip(x(event.start)), clip(x(event.end))];
    plot.drawing.append(draw("rect", {
      class: `event ${severityOf(event.severity)}${place === view.event ? " chosen" : ""}`,
      x: start - 1, y: plot.top, width: end - start + 2, height: plot.bottom - plot.top,
    }));
  });
  if (!labels) return;
  for (const { machine, start, end } of given.labels) {
    if (machine !== view.machine || end < view.from || start > view.to) continue;
    const [from, to] = [clip(x(start)), clip(x(end))];
    plot.drawing.append(draw("rect", {
      class: "label", x: from - 1, y: plot.bottom - 5, width: to - from + 2, height: 5,
    }));
  }
}

/** Above the plot: where rows are anomalous, and how severe; every such row shows. */
function anomalyStrip(plot, columns) {
  for (const column of columns) {
    if (!column.anomalies) continue;
    plot.drawing.append(draw("rect", {
      class: `mark ${severityOf(column.severity)}`,
      x: column.x - 1, y: plot.top - 12, width: 2.5, height: 8,
    }));
  }
}

function anomaliesOf(range, x) {
  return byColumn(range, x, (column, bin) => {
    column.anomalies = (column.anomalies ?? 0) + bins.anomalies[bin];
    if (!Number.isNaN(bins.severity[bin])) {
      column.severity = Math.max(column.severity ?? 0, bins.severity[bin]);
    }
  });
}

function drawTimeline() {
  const plot = canvas(timeline, 250, { top: 34, bottom: 34 });
  const machine = machineOf();
  const x = scale(view.from, view.to, plot.left, plot.right);
  const range = binsWithin(machine, view.from, view.to);
  const columns = columnsOf(bins.score, range, x);
  let [low, high] = extent(columns);
  if (machine.threshold !== null) {
    [low, high] = [Math.min(low, machine.threshold), Math.max(high, machine.threshold * 1.05)];
  }
  const y = scale(low, high, plot.bottom, plot.top);
  stretches(plot, x, { labels: true });
  valueAxis(plot, y, roundNumbers(low, high, 4));
  timeAxis(plot, x, view.from, view.to);
  plot.drawing.append(draw("text", { class: "tick", x: plot.left, y: 12 }, "score"));
  if (plot.width > 520) {
    plot.drawing.append(draw("text", { class: "tick", x: plot.left + 40, y: 12 },
      "higher is worse; the marks are anomalous rows"));
  }
  const inner = clipped(plot);
  inner.append(curve(columns, y, "score"));
  if (machine.threshold !== null) {
    const at = y(machine.threshold);
    plot.drawing.append(
      draw("line", { class: "threshold", x1: plot.left, x2: plot.right, y1: at, y2: at }),
      draw("text", { class: "tick end threshold-text", x: plot.right, y: at - 5 },
        `threshold ${number(machine.threshold)}`),
    );
  }
  anomalyStrip(plot, anomaliesOf(range, x).filter(
    (column) => column.x >= plot.left - 1 && column.x <= plot.right + 1));
  timeline.setAttribute("aria-label", `Score over time. ${told()}. ${timeline.dataset.keys}`);
  crossLine(timeline, plot, x);
}

let clips = 0;

/** A group that is drawn inside the plot only. */
function clipped(plot) {
  clips += 1;
  const name = `clip-${clips}`;
  const inside = draw("rect", {
    x: plot.left, y: plot.top - 2, width: plot.right - plot.left, height: plot.bottom - plot.top + 4,
  });
  const group = draw("g", { "clip-path": `url(#${name})` });
  plot.drawing.append(draw("clipPath", { id: name }, inside), group);
  return group;
}

const lines = new Map();

/** The line that follows the pointer over all charts of the view. */
function crossLine(holder, plot, x) {
  const line = draw("line", { class: "cursor", y1: plot.top, y2: plot.bottom });
  plot.drawing.append(line);
  lines.set(holder, () => {
    const at = cursor.at === null ? -1 : x(cursor.at);
    const inside = at >= plot.left && at <= plot.right;
    line.classList.toggle("shown", inside);
    if (inside) { line.setAttribute("x1", at); line.setAttribute("x2", at); }
  });
}

cursor.followers.push(() => {
  for (const move of lines.values()) move();
  if (cursor.at === null) { readout.textContent = told(); return; }
  const bin = binAt(cursor.at);
  const severity = bins.severity[bin];
  const rows = bins.rows[bin] === 1 ? "" : `, ${number(bins.rows[bin], 7)} rows from there`;
  readout.textContent = `${moment(bins.time[bin], 0)}${rows} · `
    + `score ${valueAt(bins.score, bin)} · severity ${severityText(severity)}`
    + `${bins.anomalies[bin] ? ` · ${number(bins.anomalies[bin], 7)} anomalous` : ""}`;
});

/** Let a chart of the view take keys, drags and the pointer. */
function interactive(holder) {
  const toTime = (place) => {
    const part = (place - LEFT) / (holder.clientWidth - LEFT - RIGHT);
    return view.from + Math.min(Math.max(part, 0), 1) * (view.to - view.from);
  };
  takeInput(holder, toTime);
  holder.addEventListener("pointermove", (event) => {
    pointAt(toTime(event.clientX - holder.getBoundingClientRect().left));
  });
  holder.addEventListener("pointerleave", () => pointAt(null));
}

// lanes

const LANE = 22;

/** All machines over the whole log: where rows are anomalous, and what is in view. */
function drawLanes() {
  const [from, to] = [
    Math.min(...given.machines.map((machine) => machine.start)),
    Math.max(...given.machines.map((machine) => machine.end)),
  ];
  const room = (to - from || clock.step) * 0.01;
  const plot = canvas(lanes, given.machines.length * LANE + 40, { top: 4, bottom: 34 });
  const x = scale(from - room, to + room, plot.left, plot.right);
  timeAxis(plot, x, from - room, to + room);
  given.machines.forEach((machine, place) => {
    const top = plot.top + place * LANE;
    const lane = draw("g", { class: "lane" });
    plot.drawing.append(lane);
    lane.append(draw("title", {}, machine.name));
    if (given.machines.length > 1) {
      const label = draw("text", { class: "tick end", x: plot.left - 6, y: top + 15 });
      lane.append(label);
      fitInto(label, machine.name, plot.left - 8);
    }
    lane.append(draw("rect", {
      class: "ground", x: x(machine.start), y: top + 7, height: 8,
      width: Math.max(x(machine.end) - x(machine.start), 1),
    }));
    for (const column of anomaliesOf(machine.bins, x)) {
      if (!column.anomalies) continue;
      const class_ = `mark ${severityOf(column.severity)}`;
      lane.append(draw("rect", { class: class_, x: column.x - 1, y: top + 4, width: 3, height: 14 }));
    }
    if (place === view.machine) {
      lane.append(draw("rect", {
        class: "window", x: Math.max(x(view.from), plot.left) - 1, y: top + 1, height: LANE - 2, rx: 3,
        width: Math.max(Math.min(x(view.to), plot.right) - Math.max(x(view.from), plot.left), 2) + 2,
      }));
    }
  });
  lanes.toTime = (at) => from - room
    + ((at - plot.left) / (plot.right - plot.left)) * (to - from + 2 * room);
}

lanes.addEventListener("click", (event) => {
  const box = lanes.getBoundingClientRect();
  const lane = Math.floor((event.clientY - box.top + lanes.scrollTop - 4) / LANE);
  const machine = Math.min(Math.max(lane, 0), given.machines.length - 1);
  const span = machine === view.machine ? view.to - view.from : Infinity;
  const around = lanes.toTime(event.clientX - box.left);
  if (Number.isFinite(span)) look({ machine, from: around - span / 2, to: around + span / 2 });
  else lookAtAll(machine);
});
