// The workflow explorer: controls, a risk curve, and what it means in words. Its text follows collapse.js in one module, whose
// WORKFLOWS, workflow, ratio and fate it calls. The model holds workflow, generations, kept, real_share and window.

const LIMIT = Math.PI ** 2 / 6;
const HEIGHT = 270;
const MARGIN = { top: 34, right: 14, bottom: 44, left: 48 };
// The axes end at round numbers, so that a curve moves in its frame and not the frame with the curve.
const LAST_GENERATIONS = [10, 20, 50, 100, 200];
const HIGHEST_RATIOS = [1, 10, 100, 1000, 10000].flatMap((power) => [1.8, 2.5, 4, 6, 10].map((top) => top * power));

const percent = (share) => `${Number((100 * share).toPrecision(3))}\u00a0%`;

const MEANING = {
  discard: "Each generation trains on the latest synthetic batch alone.",
  augment: "Each generation trains on the real data and all synthetic batches so far.",
  subsample: "Each generation trains on as many rows as were real, drawn from the real data and all synthetic batches so far.",
  "fixed real share": "Each generation gives a fixed share of the weight to the real data, the rest to the latest synthetic batch.",
  window: "Each generation trains on the latest few batches; the real data are one of them at first.",
};

function called(name, { realShare, window }) {
  if (name === "fixed real share") return `a fixed real share of ${percent(realShare)}`;
  return name === "window" ? `a window of ${window} batch${window > 1 ? "es" : ""}` : name;
}

const CONTROLS = [
  { name: "generations", label: "Generations", min: 2, max: 200, step: 1, say: String },
  { name: "kept", label: "Share kept", min: 0.01, max: 1, step: 0.01, say: percent },
  { name: "real_share", label: "Weight on the real data", min: 0, max: 1, step: 0.01, say: percent, only: "fixed real share" },
  { name: "window", label: "Window, in batches", min: 1, max: 50, step: 1, say: String, only: "window" },
];

// JupyterLab would take the arrow keys for itself, to fold headings.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

let made = 0;

function element(parent, tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

function shape(parent, tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

const plain = (value, digits) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
const rowsWorth = (ratio) => plain(1000 / ratio, 1000 / ratio < 10 ? 2 : Math.max(3, Math.ceil(Math.log10(1000 / ratio))));

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((multiple) => multiple * power >= rough);
  const found = [low];
  for (let i = Math.ceil((low + 0.6 * step) / step); i * step <= high * (1 + 1e-9); i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// What happens after the last generation shown.
function verdict({ name, generations, window }, { limit, rate }) {
  if (limit !== undefined) return `it levels off at ${plain(limit, 5)}, where they are worth ${rowsWorth(limit)}`;
  const pace = `${plain(rate, 3)} a generation`;
  if (name !== "window") return `the ratio grows without end, by ${pace}: collapse`;
  if (generations > window) return `the ratio grows without end, by ${pace} in the end: collapse`;
  return `so far the window holds everything, as augment does, but later the ratio grows by ${pace}: collapse`;
}

function drawCurve(svg, width, name, values) {
  const G = values.length;
  const last = values[G - 1];
  const xEnd = LAST_GENERATIONS.find((value) => value >= G);
  const highest = values.reduce((a, b) => Math.max(a, b));
  const yEnd = HIGHEST_RATIOS.find((value) => value >= 1.05 * highest);
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const x = (generation) => MARGIN.left + ((generation - 1) / (xEnd - 1)) * (right - MARGIN.left);
  const y = (ratio) => bottom - ((ratio - 1) / (yEnd - 1)) * (bottom - MARGIN.top);

  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", HEIGHT);

  for (const value of ticks(1, yEnd, 5)) {
    shape(svg, "line", { class: value === 1 ? "axis" : "grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) });
    shape(svg, "text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString("en"));
  }
  for (const value of ticks(1, xEnd, width < 450 ? 5 : 10)) {
    shape(svg, "line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 });
    shape(svg, "text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" }, String(value));
  }
  shape(svg, "text", { class: "title", x: 4, y: 14 }, "risk ratio");
  shape(svg, "text", { class: "title", x: right, y: HEIGHT - 6, "text-anchor": "end" }, "generation");

  shape(svg, "line", { class: "limit", x1: MARGIN.left, x2: right, y1: y(LIMIT), y2: y(LIMIT) });
  const points = Array.from(values, (value, i) => `${x(i + 1).toFixed(2)},${y(value).toFixed(2)}`);
  shape(svg, "polyline", { class: "curve", points: points.join(" ") });
  shape(svg, "circle", { class: "end", cx: x(G), cy: y(last), r: 4 });

  // Each label takes the first place where it covers neither the curve nor the line nor another label.
  const covered = [];
  for (let px = MARGIN.left; px <= x(G); px += 3) {
    const g = 1 + ((px - MARGIN.left) / (right - MARGIN.left)) * (xEnd - 1);
    const before = Math.min(Math.floor(g), G - 1);
    const py = y(values[before - 1] + (g - before) * (values[before] - values[before - 1]));
    covered.push({ left: px, right: px, top: py, bottom: py });
  }
  covered.push({ left: MARGIN.left, right, top: y(LIMIT), bottom: y(LIMIT) });
  const write = (kind, text, places) => {
    const node = shape(svg, "text", { class: kind }, text);
    const wide = node.getComputedTextLength();
    const boxes = places.map(([anchor, px, py]) => {
      const left = anchor === "start" ? px : Math.max(px - wide, MARGIN.left);
      return { left, right: left + wide, top: py - 12, bottom: py + 3 };
    });
    const free = (box) =>
      box.right <= right + 1 && box.bottom < bottom && box.top > 18 &&
      covered.every((other) => box.left > other.right || box.right < other.left || box.top > other.bottom || box.bottom < other.top);
    const box = boxes.find(free) ?? boxes[0];
    covered.push(box);
    node.setAttribute("x", box.left);
    node.setAttribute("y", box.bottom - 3);
  };
  // the name stays on the curve's side of the line, else it would seem to name the line
  const shifts = last < LIMIT ? [20, 28, 36, 52, -10, -18, -26, -42] : [-10, -18, -26, -42, 20, 28, 36, 52];
  const beside = (last < LIMIT ? [4, 16, 24] : [4, -8, -16]).map((shift) => ["start", x(G) + 10, y(last) + shift]);
  write("name", `${name} ${plain(last, 4)}`, [...beside, ...shifts.map((shift) => ["end", x(G), y(last) + shift])]);
  const sides = [["end", right], ["start", MARGIN.left + 8], ["end", right - 80]];
  const around = sides.flatMap(([anchor, px]) => [-6, 16].map((shift) => [anchor, px, y(LIMIT) + shift]));
  write("title", "π²/6 = 1.6449", around);
}

function render({ model, el }) {
  const prefix = `collapse-explorer-${Date.now().toString(36)}-${made++}`;
  const root = element(el, "div", { class: "collapse-explorer", role: "group", "aria-label": "Explorer: what a workflow costs" });
  const panel = element(root, "div", { class: "controls" });

  const choice = element(panel, "div", { class: "control" });
  element(choice, "label", { for: `${prefix}-workflow` }, "Workflow");
  const select = element(choice, "select", { id: `${prefix}-workflow`, name: "workflow", ...OWN_KEYS });
  for (const name of WORKFLOWS) element(select, "option", { value: name }, name);

  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  select.addEventListener("change", () => put("workflow", select.value));

  const sliders = CONTROLS.map((control) => {
    const { name, label, min, max, step } = control;
    const box = element(panel, "div", { class: "control" });
    element(box, "label", { for: `${prefix}-${name}` }, label);
    const shown = element(box, "span", { class: "value", "aria-hidden": "true" });
    const input = element(box, "input", { id: `${prefix}-${name}`, name, type: "range", min, max, step, ...OWN_KEYS });
    input.addEventListener("input", () => put(name, input.valueAsNumber));
    return { ...control, box, shown, input };
  });

  const meaning = element(root, "p", { class: "meaning" });
  const chart = element(root, "div", { class: "chart" });
  const svg = shape(chart, "svg", { role: "img" });
  const summary = element(root, "p", { class: "summary", "aria-live": "polite", "aria-atomic": "true" });

  const draw = () => {
    const name = model.get("workflow");
    const [generations, kept, realShare, window] = CONTROLS.map((control) => model.get(control.name));
    const state = { generations, kept, realShare, window };
    const values = ratio(workflow(name, state));
    const last = values[values.length - 1];

    root.dataset.family = name;
    select.value = name;
    for (const { name: key, say, only, box, shown, input } of sliders) {
      const value = model.get(key);
      box.hidden = only !== undefined && only !== name;
      if (input.valueAsNumber !== value) input.value = value;
      shown.textContent = say(value);
      input.setAttribute("aria-valuetext", say(value));
    }
    meaning.textContent = MEANING[name];
    if (kept < 1) meaning.append(` Each fit after the first reads ${percent(kept)} of those rows, drawn anew.`);

    const width = Math.floor(chart.clientWidth);
    if (width > 0) drawCurve(svg, Math.max(width, 240), name, values);
    const course = `from 1 to ${plain(last, 6)} at generation ${generations}, with a line at π²/6.`;
    svg.setAttribute("aria-label", `Risk ratio against generation under ${name}: ${course}`);

    summary.replaceChildren(`After ${generations} generations of ${called(name, state)} your 1,000 rows are worth `);
    element(summary, "data", { class: "worth", value: 1000 / last }, rowsWorth(last));
    summary.append(": the excess risk is ");
    element(summary, "data", { class: "excess", value: last }, plain(last, 6));
    summary.append(` times that of the real data alone; ${verdict({ name, ...state }, fate(name, state))}.`);
  };

  const changes = ["workflow", ...CONTROLS.map(({ name }) => name)].map((name) => `change:${name}`);
  for (const change of changes) model.on(change, draw);
  const resize = new ResizeObserver(draw);
  resize.observe(chart);
  draw();

  return () => {
    resize.disconnect();
    for (const change of changes) model.off(change, draw);
  };
}

export default { render };
