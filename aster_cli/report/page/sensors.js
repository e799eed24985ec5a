// A panel for each sensor, on the timeline's axis; the leading sensors of what is chosen come first.

const panels = document.getElementById("panels");
const moreSensors = document.getElementById("more-sensors");
const FIRST_PANELS = 8;
const PANEL = 92;
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

function drawPanel(each) {
  const { holder, sensor } = each;
  each.width = holder.clientWidth;
  const plot = canvas(holder, PANEL, { top: 6, bottom: 6 });
  const x = scale(view.from, view.to, plot.left, plot.right);
  const range = binsWithin(machineOf(), view.from, view.to);
  const columns = columnsOf(sensor.curve, range, x);
  const [low, high] = extent(columns);
  const y = scale(low, high, plot.bottom, plot.top);
  stretches(plot, x);
  valueAxis(plot, y, roundNumbers(low, high, 3));
  timeAxis(plot, x, view.from, view.to, { labelled: false });
  const inner = clipped(plot);
  inner.append(curve(columns, y, "actual"));
  crossLine(holder, plot, x);
  holder.setAttribute("aria-label", `${sensor.name}, ${told()}, `
    + `from ${number(low)} to ${number(high)}`);
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

cursor.followers.push(() => {
  for (const { value, sensor } of shownPanels.values()) {
    if (cursor.at === null) { value.textContent = ""; continue; }
    value.textContent = valueAt(sensor.curve, binAt(cursor.at));
  }
});

moreSensors?.addEventListener("click", () => {
  const open = moreSensors.getAttribute("aria-expanded") !== "true";
  moreSensors.setAttribute("aria-expanded", String(open));
  moreSensors.textContent = open ? moreSensors.dataset.less : moreSensors.dataset.more;
  drawPanels();
});
