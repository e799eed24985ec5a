// What all charts share: SVG elements, axes, curves drawn column by column, and two plain charts.

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const paper = { width: null }; // in print charts are drawn as wide as the paper
const LEFT = 56; // of every chart's plot, so that they line up
const RIGHT = 12;

/** An empty chart: its drawing and the place of its plot. */
function canvas(holder, height, { top = 8, bottom = 34 } = {}) {
  const width = paper.width === null ? Math.max(holder.clientWidth, 280)
    : paper.width * (holder.closest(".two") ? 0.48 : 1);
  const drawing = draw("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false",
  });
  holder.replaceChildren(drawing);
  return { drawing, width, height, left: LEFT, right: width - RIGHT, top, bottom: height - bottom };
}

const scale = (from, to, start, end) => (value) => (
  start + ((value - from) / ((to - from) || 1)) * (end - start));

/** The path of points; null breaks it. */
function path(points) {
  let text = "";
  let pen = "M";
  for (const point of points) {
    if (point === null) { pen = "M"; continue; }
    text += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    pen = "L";
  }
  return text;
}

function valueAxis(plot, y, ticks, write = number) {
  for (const tick of ticks) {
    const at = y(tick);
    plot.drawing.append(
      draw("line", { class: "grid", x1: plot.left, x2: plot.right, y1: at, y2: at }),
      draw("text", { class: "tick end", x: plot.left - 6, y: at + 4 }, write(tick)),
    );
  }
}

function axisTitle(plot, text) {
  plot.drawing.append(draw("text", { class: "tick", x: plot.left, y: plot.top - 6 }, text));
}

/** Write a name into a drawn text, its middle left out where it has no room: names often differ at their ends. */
function fitInto(label, name, room) {
  label.textContent = name;
  for (let kept = name.length - 1; kept > 1 && label.getComputedTextLength() > room; kept -= 1) {
    const tail = Math.ceil(kept / 2);
    label.textContent = `${name.slice(0, kept - tail)}…${name.slice(-tail)}`;
  }
}

function timeAxis(plot, x, from, to, { labelled = true } = {}) {
  const about = Math.max(2, Math.floor((plot.right - plot.left) / 110));
  for (const { at, text, below } of clockTicks(from, to, about)) {
    const place = x(at);
    plot.drawing.append(
      draw("line", { class: "grid", x1: place, x2: place, y1: plot.top, y2: plot.bottom }));
    if (!labelled) continue;
    const anchor = place > plot.right - 24 ? "end" : "middle";
    plot.drawing.append(
      draw("text", { class: `tick ${anchor}`, x: place, y: plot.bottom + 15 }, text),
      draw("text", { class: `tick faint ${anchor}`, x: place, y: plot.bottom + 28 }, below),
    );
  }
}

/** The bins of a machine that a view touches: half-open. */
function binsWithin(machine, from, to) {
  const [first, last] = machine.bins;
  const after = (time) => {
    let [low, high] = [first, last];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bins.time[middle] <= time) low = middle + 1; else high = middle;
    }
    return low;
  };
  return [Math.max(first, after(from) - 2), Math.min(last, after(to) + 1)];
}

/** Bins by the pixel column that they are drawn in: `take` sees every one, so none is lost. */
function byColumn([first, last], x, take) {
  const columns = [];
  let current = null;
  for (let bin = first; bin < last; bin += 1) {
    const column = Math.round(x(bins.time[bin]));
    if (current === null || column !== current.column || bins.apart[bin]) {
      current = { column, bin, apart: bins.apart[bin] === 1, x: x(bins.time[bin]) };
      columns.push(current);
    }
    take(current, bin);
  }
  return columns;
}

/** A curve's lowest and highest values in every column. */
function columnsOf(curve, range, x) {
  return byColumn(range, x, (column, bin) => {
    const [low, high] = [curve.low[bin], curve.high[bin]];
    if (Number.isNaN(low)) return;
    column.low = column.low === undefined ? low : Math.min(column.low, low);
    column.high = column.high === undefined ? high : Math.max(column.high, high);
  });
}

/** A curve: a line where columns hold one value, a filled band from lowest to highest elsewhere. */
function curve(columns, y, name) {
  const group = draw("g", { class: `curve ${name}` });
  const line = [];
  let band = [];
  const close = () => {
    if (band.some((column) => column.high !== column.low)) {
      const outline = band.map((column) => [column.x, y(column.high)]);
      outline.push(...band.toReversed().map((column) => [column.x, y(column.low)]));
      group.append(draw("path", { class: "spread", d: `${path(outline)}Z` }));
    }
    band = [];
  };
  columns.forEach((column, place) => {
    const known = column.low !== undefined;
    if (column.apart || !known) { close(); line.push(null); }
    if (!known) return;
    band.push(column);
    // a band has its own outline; a line through it would only blacken it
    if (column.high === column.low) line.push([column.x, y(column.high)]); else line.push(null);
    const next = columns[place + 1];
    const alone = line.at(-2) == null && (!next || next.apart || next.low !== next.high);
    if (alone && column.high === column.low) {
      group.append(draw("circle", { cx: column.x, cy: y(column.high), r: 1.5 }));
    }
  });
  close();
  group.append(draw("path", { class: "line", d: path(line) }));
  return group;
}

/** The lowest and the highest value of columns, with some room around them. */
function extent(columns, part = 0.06) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns) {
    if (column.low === undefined) continue;
    low = Math.min(low, column.low);
    high = Math.max(high, column.high);
  }
  if (low > high) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * part;
  return [low - room, high + room];
}

/** Plain curves over numbers: `series` are {name, points}, drawn in this order; `parts` are {name, from} along x. */
function plainCurves(holder, { series, x, y, diagonal = false, xTicks = null, parts = [] }) {
  const plot = canvas(holder, 240, { top: 22, bottom: 38 });
  const xs = series.flatMap(({ points }) => points.map((point) => point[0]));
  const ys = series.flatMap(({ points }) => points.map((point) => point[1]));
  const [x0, x1] = x.range ?? [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = y.range ?? [Math.min(0, ...ys), Math.max(...ys)];
  const [toX, toY] = [scale(x0, x1, plot.left, plot.right), scale(y0, y1, plot.bottom, plot.top)];
  valueAxis(plot, toY, roundNumbers(y0, y1, 4));
  axisTitle(plot, y.title);
  for (const tick of xTicks ?? roundNumbers(x0, x1, 5)) {
    plot.drawing.append(
      draw("text", { class: "tick middle", x: toX(tick), y: plot.bottom + 15 }, number(tick)));
  }
  plot.drawing.append(draw("text", {
    class: "tick end", x: plot.right, y: plot.bottom + 31,
  }, x.title));
  if (diagonal) {
    plot.drawing.append(draw("path", {
      class: "reference", d: path([[toX(x0), toY(y0)], [toX(x1), toY(y1)]]),
    }));
  }
  parts.forEach(({ name, from }, place) => {
    // the first name follows the axis title
    const at = place ? toX(from - 0.5) : plot.left + 40;
    if (place) {
      plot.drawing.append(
        draw("line", { class: "reference", x1: at, x2: at, y1: plot.top - 16, y2: plot.bottom }));
    }
    const next = place + 1 < parts.length ? toX(parts[place + 1].from - 0.5) : plot.right;
    const label = draw("text", { class: "tick faint", x: at + 5, y: plot.top - 6 });
    plot.drawing.append(label);
    fitInto(label, name, next - at - 8);
  });
  series.forEach(({ points }, place) => {
    plot.drawing.append(draw("path", {
      class: `series series-${place}`, d: path(points.map(([a, b]) => [toX(a), toY(b)])),
    }));
  });
}
