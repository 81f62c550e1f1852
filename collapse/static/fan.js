// The fan: least-squares lines, refitted generation after generation on the same points with the same noise, discard beside augment.

// Lines and what they cost. Labels drawn from a fitted line at the same x move the next fit by Z, normal with covariance
// sigma^2 (X'X)^-1 exactly; augment, whose fit is the mean of all batches' fits, by Z / g.
export function fan({ x, y, sigma, lines, generations, seed }) {
  const n = x.length;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / n;
  const centre = mean(x);
  const width = Math.hypot(...x.map((value) => value - centre));
  const slope = x.reduce((sum, value, i) => sum + (value - centre) * y[i], 0) / width ** 2;
  const real = [mean(y) - slope * centre, slope];

  const paths = { discard: [], augment: [] };
  const excess = { discard: new Float64Array(generations), augment: new Float64Array(generations) };
  const { normal } = randomState(seed);
  for (let line = 0; line < lines; line++) {
    // errors at the centre of the points and in the slope, in units of their standard deviations
    const error = { discard: [0, 0], augment: [0, 0] };
    for (const name in paths) paths[name].push([real]);
    for (let g = 2; g <= generations; g++) {
      const z = [normal(), normal()];
      for (const name in paths) {
        const step = name === "augment" ? 1 / g : 1;
        const u = error[name].map((value, i) => value + step * z[i]);
        error[name] = u;
        const tilt = (sigma * u[1]) / width;
        paths[name][line].push([real[0] + (sigma * u[0]) / Math.sqrt(n) - tilt * centre, real[1] + tilt]);
        excess[name][g - 1] += (u[0] ** 2 + u[1] ** 2) / (2 * lines);
      }
    }
  }
  // what the lines themselves say of the ratio: 1 for the real data's own error, which they share, and their mean square about it
  for (const name in paths) excess[name] = excess[name].map((value) => 1 + value);
  return { real, paths, simulated: excess };
}

// Share of augment's whole price, pi^2/6 - 1, that generation g has paid.
export const paid = (ratio) => (ratio - 1) / (Math.PI ** 2 / 6 - 1);

const FAN_RATIOS = [1, 2, 5, 10, 20, 50];

function drawFan(svg, width, { x, y, sigma, generations, generation }, { paths, simulated }, ratios) {
  const tall = Math.round(Math.min(230, Math.max(150, 0.34 * width)));
  const left = 34;
  const right = width - 6;
  const gap = 14;
  const wide = (right - left - gap) / 2;
  const low = { top: tall + 92, bottom: tall + 92 + 150 };
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${low.bottom + 40}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", low.bottom + 40);

  const middle = y.reduce((sum, value) => sum + value, 0) / y.length;
  const [first, last] = [Math.min(...x), Math.max(...x)];
  const pad = 0.05 * (last - first);
  const across = (value) => ((value - first + pad) / (last - first + 2 * pad)) * wide;
  const up = (value) => tall / 2 - ((value - middle) / (12 * sigma)) * tall;
  Object.keys(paths).forEach((name, i) => {
    const corner = left + i * (wide + gap);
    shape(svg, "text", { class: "name", "data-family": name, x: corner, y: 16 }, `${name[0].toUpperCase()}${name.slice(1)}`);
    shape(svg, "rect", { class: "frame", x: corner, y: 26, width: wide, height: tall });
    const panel = shape(svg, "svg", { "data-family": name, x: corner, y: 26, width: wide, height: tall });
    const ends = [first - pad, last + pad];
    for (const line of paths[name]) {
      const [at, slope] = line[generation - 1];
      const [y1, y2] = ends.map((value) => up(at + slope * value).toFixed(2));
      shape(panel, "line", { class: "line", x1: 0, x2: wide, y1, y2 });
    }
    x.forEach((value, j) => shape(panel, "circle", { class: "real", cx: across(value), cy: up(y[j]), r: 3.5 }));
  });

  const span = right - 70 - left;
  const at = (g) => left + ((g - 1) / (generations - 1)) * span;
  const highest = Math.log(1.25 * generations);
  const lowest = Math.log(0.85);
  const level = (ratio) => low.bottom - ((Math.log(ratio) - lowest) / (highest - lowest)) * (low.bottom - low.top);
  shape(svg, "text", { class: "title", x: 4, y: low.top - 16 }, "risk ratio");
  for (const value of FAN_RATIOS.filter((ratio) => ratio <= generations)) {
    shape(svg, "line", { class: "grid", x1: left, x2: right - 70, y1: level(value), y2: level(value) });
    shape(svg, "text", { class: "tick", x: left - 6, y: level(value) + 4, "text-anchor": "end" }, String(value));
  }
  shape(svg, "line", { class: "axis", x1: left, x2: right - 70, y1: low.bottom, y2: low.bottom });
  for (const value of ticks(1, generations, 5)) {
    shape(svg, "line", { class: "axis", x1: at(value), x2: at(value), y1: low.bottom, y2: low.bottom + 4 });
    shape(svg, "text", { class: "tick", x: at(value), y: low.bottom + 18, "text-anchor": "middle" }, String(value));
  }
  shape(svg, "text", { class: "title", x: right - 70, y: low.bottom + 36, "text-anchor": "end" }, "generation");
  shape(svg, "line", { class: "limit", x1: left, x2: right - 70, y1: level(LIMIT), y2: level(LIMIT) });
  shape(svg, "text", { class: "title", x: at(1) + 0.4 * span, y: level(LIMIT) - 7 }, "π²/6");
  shape(svg, "line", { class: "handle", x1: at(generation), x2: at(generation), y1: low.top - 4, y2: low.bottom });
  for (const name in paths) {
    const part = shape(svg, "g", { "data-family": name });
    const points = Array.from(ratios[name], (ratio, i) => `${at(i + 1).toFixed(2)},${level(ratio).toFixed(2)}`);
    shape(part, "polyline", { class: "curve", points: points.join(" ") });
    for (let g = 5; g <= generations; g += 5) shape(part, "circle", { class: "dot", cx: at(g), cy: level(simulated[name][g - 1]), r: 2.6 });
    shape(part, "circle", { class: "end", cx: at(generation), cy: level(ratios[name][generation - 1]), r: 5.5 });
    shape(part, "text", { class: "name", x: right - 64, y: level(ratios[name][generations - 1]) + (name === "augment" ? 10 : 4) }, name);
  }
  return { left, span };
}

function render({ model, el }) {
  const view = frame(el, "Explorer: refitted lines, discard beside augment");
  const data = Object.fromEntries(["x", "y", "sigma", "lines", "generations"].map((name) => [name, model.get(name)]));
  const ratios = Object.fromEntries(["discard", "augment"].map((name) => [name, ratio(workflow(name, data))]));
  const follow = slider(view, model, { name: "generation", label: "Generation", min: 1, max: data.generations, step: 1 });
  const again = element(element(view.panel, "div", { class: "control" }), "button", { type: "button" }, "Draw new noise");
  again.addEventListener("click", () => put(model, "seed", model.get("seed") + 1));

  let drawn = {};
  const draw = () => {
    const [generation, seed] = [model.get("generation"), model.get("seed")];
    if (drawn.seed !== seed) drawn = { seed, ...fan({ ...data, seed }) };
    follow();
    const width = Math.floor(view.chart.clientWidth);
    if (width > 0) view.place = drawFan(view.svg, Math.max(width, 240), { ...data, generation }, drawn, ratios);
    const [wide, tight] = [ratios.discard[generation - 1], ratios.augment[generation - 1]];
    view.svg.setAttribute(
      "aria-label",
      `${data.x.length} real points and ${data.lines} lines fitted in generation ${generation}, under discard and under augment; ` +
        "below, the risk ratio against the generation for both, with a line at π²/6.",
    );
    const said = (name) => plain(drawn.simulated[name][generation - 1], 3);
    tell(view.summary, [
      `Generation ${generation}, same points, same noise. Discard: the excess risk is `, ["discard", wide, plain(wide, 4)],
      ` times that of the real data alone, and your 1,000 rows are worth ${rowsWorth(wide)}. Augment: `, ["augment", tight, plain(tight, 4)],
      ` times, worth ${rowsWorth(tight)}; of all that it will ever pay, π²/6 − 1, it has paid `,
      ["paid", paid(tight), percent(paid(tight), 2)], generation > 10 ? `, ${percent(paid(ratios.augment[9]), 2)} of it by generation 10` : "",
      `. The lines drawn say ${said("discard")} and ${said("augment")}.`,
    ]);
  };
  dragged(view.svg, (px) => {
    const g = Math.round(1 + ((px - view.place.left) / view.place.span) * (data.generations - 1));
    put(model, "generation", Math.min(data.generations, Math.max(1, g)));
  });
  return live(view, model, ["generation", "seed"], draw);
}

export default { render };
