// The workflow explorer: controls, a risk curve, and what it means in words. Its text follows collapse.js in one module, whose
// WORKFLOWS, workflow, ratio and fate it calls. The model holds workflow, generations, kept, real_share and window.

const LIMIT = Math.PI ** 2 / 6;
const HEIGHT = 270;
const MARGIN = { top: 34, right: 14, bottom: 44, left: 48 };
const CHARACTER = 7.2; // mean width of a character of the figure's text, in px
// The axes end at round numbers, so that a curve moves in its frame and not the frame with the curve.
const LAST_GENERATIONS = [10, 20, 50, 100, 200];
const HIGHEST_RATIOS = [1, 10, 100, 1000, 10000].flatMap((power) => [1.8, 2.5, 4, 6, 10].map((top) => top * power));

const percent = (share) => `${Number((100 * share).toPrecision(3))} %`;

const MEANING = {
  discard: "Each generation trains on the latest synthetic batch alone.",
  augment: "Each generation trains on the real data and all synthetic batches so far.",
  subsample: "Each generation trains on as many rows as were real, drawn from the real data and all synthetic batches so far.",
  "fixed real share": "Each generation gives a fixed share of the weight to the real data, the rest to the latest synthetic batch.",
  window: "Each generation trains on the latest few batches; the real data are one of them at first.",
};
const called = (name, { realShare, window }) =>
  ({ "fixed real share": `a fixed real share of ${percent(realShare)}`, window: `a window of ${window} batch${window > 1 ? "es" : ""}` })[name] ?? name;

const CONTROLS = [
  { name: "generations", label: "Generations", min: 2, max: 200, step: 1, say: String },
  { name: "kept", label: "Share kept", min: 0.01, max: 1, step: 0.01, say: percent },
  { name: "real_share", label: "Weight on the real data", min: 0, max: 1, step: 0.01, say: percent, only: "fixed real share" },
  { name: "window", label: "Window, in batches", min: 1, max: 50, step: 1, say: String, only: "window" },
];

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
  const pace = `${plain(rate, 3)} a generation in the end`;
  if (name === "window" && generations <= window) return `so far the window holds everything, as augment does, but later the ratio grows by ${pace}: collapse`;
  return name === "window" ? `the ratio grows without end, by ${pace}: collapse` : `the ratio grows without end, by ${plain(rate, 3)} a generation: collapse`;
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

  // The curve's name stands to the right of its end where there is room, otherwise above it, or below where pi^2/6 is just above.
  const text = `${name} ${plain(last, 4)}`;
  const beside = x(G) + 10 + text.length * CHARACTER <= right;
  const gap = y(last) - y(LIMIT);
  const below = gap > -4 && gap < 34;
  const label = beside
    ? { x: x(G) + 10, y: y(last) + (Math.abs(gap) < 14 ? (gap >= 0 ? 18 - gap / 2 : -6) : 4), "text-anchor": "start" }
    : { x: Math.max(x(G), MARGIN.left + text.length * CHARACTER), y: y(last) + (below ? 20 : -10), "text-anchor": "end" };
  shape(svg, "text", { class: "name", ...label }, text);

  // The limit's label stands above its line, at the right, unless something else does.
  const left = right - 13 * CHARACTER;
  const labelLeft = label["text-anchor"] === "end" ? label.x - text.length * CHARACTER : label.x;
  const taken = (low, high) =>
    (label.y > low && label.y - 12 < high && labelLeft + text.length * CHARACTER > left) ||
    values.some((value, i) => x(i + 1) > left && y(value) > low && y(value) < high);
  const under = taken(y(LIMIT) - 18, y(LIMIT)) && y(LIMIT) + 18 < bottom;
  shape(svg, "text", { class: "title", x: right, y: y(LIMIT) + (under ? 16 : -6), "text-anchor": "end" }, "π²/6 = 1.6449");
}

function render({ model, el }) {
  const prefix = `collapse-explorer-${Date.now().toString(36)}-${made++}`;
  const root = element(el, "div", { class: "collapse-explorer", role: "group", "aria-label": "Explorer: what a workflow costs" });
  const panel = element(root, "div", { class: "controls" });

  const choice = element(panel, "div", { class: "control" });
  element(choice, "label", { for: `${prefix}-workflow` }, "Workflow");
  const select = element(choice, "select", { id: `${prefix}-workflow`, name: "workflow" });
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
    const input = element(box, "input", { id: `${prefix}-${name}`, name, type: "range", min, max, step });
    input.addEventListener("input", () => put(name, input.valueAsNumber));
    return { ...control, box, shown, input };
  });

  const meaning = element(root, "p", { class: "meaning" });
  const chart = element(root, "div", { class: "chart" });
  const svg = shape(chart, "svg", { role: "img" });
  const summary = element(root, "p", { class: "summary", "aria-live": "polite", "aria-atomic": "true" });

  const draw = () => {
    const name = model.get("workflow");
    const state = { generations: model.get("generations"), kept: model.get("kept"), realShare: model.get("real_share"), window: model.get("window") };
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
    meaning.textContent = MEANING[name] + (state.kept < 1 ? ` Each fit after the first reads ${percent(state.kept)} of those rows, drawn anew.` : "");

    const width = Math.floor(chart.clientWidth);
    if (width > 0) drawCurve(svg, Math.max(width, 240), name, values);
    svg.setAttribute("aria-label", `Risk ratio against generation under ${name}: from 1 to ${plain(last, 6)} at generation ${values.length}, with a line at π²/6.`);

    summary.replaceChildren(`After ${values.length} generations of ${called(name, state)} your 1,000 rows are worth `);
    element(summary, "data", { class: "worth", value: 1000 / last }, rowsWorth(last));
    summary.append(": the excess risk is ");
    element(summary, "data", { class: "ratio", value: last }, plain(last, 6));
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
