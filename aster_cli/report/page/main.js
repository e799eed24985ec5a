// Everything put together: controls, plain charts, and what happens when the page changes.

const chooser = document.getElementById("machine");
const actions = {
  closer: () => zoom(2),
  farther: () => zoom(0.5),
  earlier: () => pan(-0.5),
  later: () => pan(0.5),
  all: () => lookAtAll(),
  next: () => step(1),
  previous: () => step(-1),
};

for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", actions[button.dataset.do]);
}
chooser?.addEventListener("change", () => lookAtAll(Number(chooser.value)));

followers.push(drawTimeline, drawLanes, drawPanels, markChosen, () => {
  if (chooser) chooser.value = String(view.machine);
  pointAt(null);
});
interactive(timeline);

/** How many rows have which score, on a logarithmic axis, so that few still show beside many. */
function drawDistribution(holder) {
  const { edges, normal, anomalous, thresholds } = given.distribution;
  const [from, to] = [edges[0], edges.at(-1)];
  const plot = canvas(holder, 240, { top: 22, bottom: 38 });
  const most = Math.max(...normal.map((count, i) => count + anomalous[i]));
  const top = Math.log10(most + 1);
  const x = scale(from, to, plot.left, plot.right);
  const y = scale(0, top, plot.bottom, plot.top);
  const powers = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].filter((count) => count <= most);
  valueAxis(plot, (count) => y(Math.log10(count + 1)), powers, (count) => number(count, 9));
  axisTitle(plot, "rows (logarithmic)");
  const width = (plot.right - plot.left) / normal.length;
  normal.forEach((count, i) => {
    const all = count + anomalous[i];
    if (!all) return;
    const [left, level, ground] = [plot.left + i * width, y(Math.log10(all + 1)), plot.bottom];
    const split = ground - (ground - level) * (count / all);
    const bar = { x: left + 0.5, width: Math.max(width - 1, 1) };
    if (count) {
      plot.drawing.append(draw("rect", { ...bar, class: "bar", y: split, height: ground - split }));
    }
    if (anomalous[i]) {
      plot.drawing.append(draw("rect", { ...bar, class: "bar anomalous", y: level, height: split - level }));
    }
  });
  for (const tick of roundNumbers(from, to, 6)) {
    plot.drawing.append(
      draw("text", { class: "tick middle", x: x(tick), y: plot.bottom + 15 }, number(tick)));
  }
  plot.drawing.append(draw("text", { class: "tick end", x: plot.right, y: plot.bottom + 31 }, "score"));
  for (const score of thresholds) {
    const at = x(score);
    plot.drawing.append(
      draw("line", { class: "threshold", x1: at, x2: at, y1: plot.top, y2: plot.bottom }));
  }
}

const charts = {
  distribution: drawDistribution,
  pr: (holder) => plainCurves(holder, {
    series: given.curves.map(({ name, pr }) => ({ name, points: pr })),
    x: { title: "recall: share of the labelled rows found", range: [0, 1] },
    y: { title: "precision: share of the alarms that are right", range: [0, 1] },
  }),
  roc: (holder) => plainCurves(holder, {
    series: given.curves.map(({ name, roc }) => ({ name, points: roc })),
    x: { title: "false alarms: share of the normal rows flagged", range: [0, 1] },
    y: { title: "recall: share of the labelled rows found", range: [0, 1] },
    diagonal: true,
  }),
  losses: (holder) => plainCurves(holder, {
    series: given.losses,
    x: { title: "epoch" },
    y: { title: "loss" },
    parts: given.phases,
  }),
  hardness: (holder) => plainCurves(holder, {
    series: [given.hardness],
    x: { title: "epoch" },
    y: { title: "told apart", range: [0.5, 1] },
  }),
};

function drawCharts() {
  for (const holder of document.querySelectorAll("[data-chart]")) {
    if (holder.clientWidth) charts[holder.dataset.chart](holder);
  }
}

function drawAll() {
  drawCharts();
  for (const follow of followers) follow();
}

let width = 0;
new ResizeObserver(([page]) => {
  if (page.contentRect.width === width) return;
  width = page.contentRect.width;
  drawAll();
}).observe(document.querySelector("main"));

// on paper there is nothing to scroll to, and less room
addEventListener("beforeprint", () => {
  paper.width = 700;
  drawAll();
  for (const each of panelOf) {
    if (each.panel.isConnected) drawPanel(each);
  }
});
addEventListener("afterprint", () => {
  paper.width = null;
  drawAll();
});

limitEvents();
const whole = wholeOf(given.machines[given.first]);
look({ machine: given.first, from: whole[0], to: whole[1] });
document.documentElement.classList.add("ready");
