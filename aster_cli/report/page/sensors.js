// A panel for each sensor, on the timeline's axis; the leading sensors of what is chosen come first.

const panels = document.getElementById("panels");
const moreSensors = document.getElementById("more-sensors");
const FIRST_PANELS = 8;
const PANEL = 104;
const MARK = 9; // height of the mark of a value that is a whole band outside
const shownPanels = new Map(); // panels that have been drawn, by element

const panelOf = sensors.map((sensor, place) => {
  const panel = document.createElement("figure");
  panel.className = "panel";
  const caption = document.createElement("figcaption");
  const name = document.createElement("h3");
  name.textContent = sensor.name;
  const part = document.createElement("span");
  part.className = "part";
  const value = document.createElement("output");
  value.setAttribute("aria-live", "off"); // it follows the pointer
  caption.append(name, part, value);
  const holder = document.createElement("div");
  holder.className = "chart";
  holder.setAttribute("role", "img");
  panel.append(caption, holder);
  interactive(holder);
  return { panel, holder, part, value, sensor, place };
});

/** How a sensor's part in an event, or in all of them, reads. */
function partOf({ part, place }, event) {
  if (event === null) return part;
  const own = event.sensors.find((each) => each.place === place);
  return own ? own.text : "";
}

function inOrder() {
  const event = view.event === null ? null : given.events[view.event];
  if (event === null) return panelOf;
  const leading = event.sensors.map((each) => panelOf[each.place]).filter(Boolean);
  return [...leading, ...panelOf.filter((each) => !leading.includes(each))];
}

/** Where the values axis ends: the band shows as far as it does not flatten the curves. */
function endsOf(curves, band) {
  const [low, high] = extent(curves);
  const [least, most] = band.length ? extent(band) : [low, high];
  const room = (high - low) / 2;
  return [Math.max(Math.min(low, least), low - room), Math.min(Math.max(high, most), high + room)];
}

/** Above the plot: where values lie outside their bands, the taller the farther; every one shows. */
function outsideMarks(plot, outside, range, x) {
  const columns = byColumn(range, x, (column, bin) => {
    column.outside = Math.max(column.outside ?? 0, outside[bin] || 0);
  });
  for (const column of columns) {
    if (!column.outside || column.x < plot.left - 1 || column.x > plot.right + 1) continue;
    const height = 2 + (MARK - 2) * column.outside;
    plot.drawing.append(draw("rect", {
      class: "outside", x: column.x - 1, y: plot.top - 4 - height, width: 2, height,
    }));
  }
}

function drawPanel(each) {
  const { holder, sensor } = each;
  const { actual, expected, band, outside } = sensor.values;
  each.width = holder.clientWidth;
  const plot = canvas(holder, PANEL, { top: 18, bottom: 6 });
  const x = scale(view.from, view.to, plot.left, plot.right);
  const range = binsWithin(machineOf(), view.from, view.to);
  const columns = columnsOf(actual, range, x);
  const [line, bands] = [expected, band].map((one) => (one ? columnsOf(one, range, x) : []));
  const [low, high] = endsOf([...columns, ...line], bands);
  const y = scale(low, high, plot.bottom, plot.top);
  stretches(plot, x);
  valueAxis(plot, y, roundNumbers(low, high, 4));
  timeAxis(plot, x, view.from, view.to, { labelled: false });
  const inner = clipped(plot);
  if (expected) inner.append(curve(bands, y, "band"), curve(line, y, "expected"));
  inner.append(curve(columns, y, "actual"));
  if (outside) outsideMarks(plot, outside, range, x);
  crossLine(holder, plot, x);
  const spans = [["measured", columns], ["expected", line]].filter(([, has]) => has.length)
    .map(([name, has]) => `${name} from ${extent(has, 0).map((end) => number(end)).join(" to ")}`);
  holder.setAttribute("aria-label", `${sensor.name}, ${told()}, ${spans.join(", ")}`);
}

/** Draw the panels that can be seen; the others wait. */
const seen = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    const panel = panelOf[Number(target.dataset.place)];
    if (isIntersecting) { shownPanels.set(target, panel); drawPanel(panel); }
    else shownPanels.delete(target);
  }
}, { rootMargin: "200px" });

/** Draw a panel anew when its place has become wider or narrower. */
const sized = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    const each = shownPanels.get(target.parentElement);
    if (each && each.width !== target.clientWidth) drawPanel(each);
  }
});

function drawPanels() {
  if (!sensors.length) return;
  const event = view.event === null ? null : given.events[view.event];
  const order = inOrder();
  const all = moreSensors === null || moreSensors.getAttribute("aria-expanded") === "true";
  const wanted = all ? order : order.slice(0, FIRST_PANELS);
  for (const each of panelOf) each.part.textContent = partOf(each.sensor, event);
  const before = [...panels.children];
  if (before.length !== wanted.length || before.some((each, i) => each !== wanted[i].panel)) {
    seen.disconnect();
    sized.disconnect();
    shownPanels.clear();
    panels.replaceChildren(...wanted.map((each) => each.panel));
    for (const each of wanted) {
      each.panel.dataset.place = String(each.place);
      seen.observe(each.panel);
      sized.observe(each.holder);
    }
  }
  for (const each of shownPanels.values()) drawPanel(each);
}

/** What a bin measured, what was expected of it, and what would be normal. */
function valuesAt({ actual, expected, band, outside }, bin) {
  const measured = valueAt(actual, bin);
  if (expected === null || Number.isNaN(expected.low[bin])) return measured;
  const normal = `${number(band.low[bin])} to ${number(band.high[bin])}`;
  const where = outside[bin] > 0 ? ", outside of its band" : "";
  return `${measured}${where} · expected ${valueAt(expected, bin)} · normal ${normal}`;
}

cursor.followers.push(() => {
  for (const { value, sensor } of shownPanels.values()) {
    if (cursor.at === null) { value.textContent = ""; continue; }
    value.textContent = valuesAt(sensor.values, binAt(cursor.at));
  }
});

moreSensors?.addEventListener("click", () => {
  const open = moreSensors.getAttribute("aria-expanded") !== "true";
  moreSensors.setAttribute("aria-expanded", String(open));
  moreSensors.textContent = open ? moreSensors.dataset.less : moreSensors.dataset.more;
  drawPanels();
});
