// Forecast: a line fitted to a small table by least squares, and what retraining on its own labels does to the loss on other rows.

const [ANGLES, HALVINGS, BAND] = [180, 50, [0.05, 0.95]];
const DRAWN = 16; // halvings for what is drawn: within a pixel
const RIVALS = [["discard", {}, "discard"], ["window", { k: 5 }, "window of 5"], ["fixed_real_share", { share: 0.1 }, "10\u00a0% real"], ["subsample", {}, "subsample"], ["augment", {}, "augment"]];

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// The fit in the columns 1 and z = (x - centre) / width, which are orthonormal over the real rows; the test loss of a fit that later
// labels have moved by size u is first + size linear'u + size^2 u'bent u, u two standard normal variates.
export function fitted({ x, y, x_test, y_test }) {
  const n = x.length;
  const centre = mean(x);
  const width = Math.sqrt(mean(x.map((value) => (value - centre) ** 2)));
  const z = x.map((value) => (value - centre) / width);
  const theta = [mean(y), mean(y.map((value, i) => value * z[i]))];
  const variance = y.reduce((sum, value, i) => sum + (value - theta[0] - theta[1] * z[i]) ** 2, 0) / (n - 2);
  const far = x_test.map((value) => (value - centre) / width);
  const left = y_test.map((value, i) => value - theta[0] - theta[1] * far[i]);
  const linear = [-2 * mean(left), -2 * mean(left.map((value, i) => value * far[i]))];
  const [cross, square] = [mean(far), mean(far.map((value) => value * value))];
  return { n, centre, width, theta, variance, first: mean(left.map((value) => value * value)), linear, bent: [1, cross, square], kappa: variance * (1 + square) };
}

// A quantile of size linear'u + size^2 u'bent u. In a direction it is a parabola in the length r of u, and r^2 / 2 is exponential: the
// probability is a mean over directions, and is halved.
export function quantileOf({ linear, bent }, size, level, halvings = HALVINGS) {
  if (size === 0) return 0;
  const [a, b] = [new Float64Array(ANGLES), new Float64Array(ANGLES)];
  let [low, high] = [Infinity, 0];
  for (let k = 0; k < ANGLES; k++) {
    const angle = (2 * Math.PI * (k + 0.5)) / ANGLES;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    a[k] = size * (linear[0] * c + linear[1] * s);
    b[k] = size * size * (bent[0] * c * c + 2 * bent[1] * c * s + bent[2] * s * s);
    low = Math.min(low, (-a[k] * a[k]) / (4 * b[k]));
    high = Math.max(high, 9 * Math.abs(a[k]) + 81 * b[k]);
  }
  for (let i = 0; i < halvings; i++) {
    const x = (low + high) / 2;
    let sum = 0;
    for (let k = 0; k < ANGLES; k++) {
      const root = Math.sqrt(Math.max(a[k] * a[k] + 4 * b[k] * x, 0));
      const inner = Math.max((-root - a[k]) / (2 * b[k]), 0);
      const outer = Math.max((root - a[k]) / (2 * b[k]), 0);
      sum += Math.exp((-inner * inner) / 2) - Math.exp((-outer * outer) / 2);
    }
    if (sum / ANGLES < level) low = x;
    else high = x;
  }
  return (low + high) / 2;
}

const sizeOf = ({ variance, n }, ratio) => Math.sqrt((variance * Math.max(ratio - 1, 0)) / n);

function drawRows(svg, width, height, data, y, fit, ratio, state) {
  const { x, names } = data;
  const [youngest, oldest] = [Math.min(...x), Math.max(...x)];
  const edges = [youngest - 2, oldest + 2];
  const ends = [20 * Math.floor((Math.min(...data.y) - LIFT) / 20), 20 * Math.ceil((Math.max(...data.y) + LIFT) / 20)];
  const frame = axes(svg, width, height, { from: edges[0], to: edges[1], title: called(names[0]), most: 5 }, { from: ends[0], to: ends[1], title: `${called(names[1])}, of ${x.length} real rows`, most: 5 }, { left: 40 });
  const at = (value) => fit.theta[0] + (fit.theta[1] * (value - fit.centre)) / fit.width;
  // the middle nine tenths of the lines of the last generation
  const spread = (value) => 1.6448536269514722 * sizeOf(fit, ratio) * Math.hypot(1, (value - fit.centre) / fit.width);
  const steps = Array.from({ length: 25 }, (_, i) => edges[0] + (i * (edges[1] - edges[0])) / 24);
  const held = (value) => Math.max(ends[0], Math.min(ends[1], value));
  const edge = (sign) => steps.map((value) => [frame.x(value), frame.y(held(at(value) + sign * spread(value)))]);
  shape(svg, "polygon", { class: "band", points: [...edge(1), ...edge(-1).reverse()].map((point) => point.map((one) => one.toFixed(1)).join(",")).join(" ") });
  line(svg, frame, edges.map((value) => [value, at(value)]));
  const chosen = Math.min(state.row, x.length) - 1;
  x.forEach((value, i) => {
    dot(svg, frame, value, y[i], { "data-family": "real", r: 3.5 });
    const place = (lift) => [frame.x(value), frame.y(data.y[i] + lift)];
    if (i !== chosen) grip(svg, { control: "lift", at: place(0), place, along: "y", also: { row: i + 1 }, quiet: true });
  });
  if (state.lift) dot(svg, frame, x[chosen], data.y[chosen], { class: "faint", r: 3.5 });
  const place = (lift) => [frame.x(x[chosen]), frame.y(data.y[chosen] + lift)];
  grip(svg, { control: "lift", at: place(state.lift), place, along: "y" });
  const order = x.map((_, i) => i).sort((i, j) => x[i] - x[j]);
  reads(svg, frame, order, (i) => ({
    x: frame.x(x[i]),
    text: `row ${i + 1}: ${called(names[0])} ${x[i]}, ${called(names[1])} ${y[i]}; fitted ${plain(at(x[i]), 3)}`,
    dots: [[frame.x(x[i]), frame.y(y[i])]],
  }));
  describe(svg, `${x.length} real rows and the line fitted to them: ${signed(fit.theta[1] / fit.width)} a year. Shaded: where nine in ten of the last generation's lines run.`);
}

function drawLoss(svg, width, height, fit, name, values, rivals) {
  const G = values.length;
  const loss = (ratio) => fit.first + ((ratio - 1) * fit.kappa) / fit.n;
  const span = G - 1;
  const stops = [...new Set(Array.from({ length: 12 }, (_, i) => Math.round(span * (i / 11) ** 2)))];
  const band = stops.map((i) => [i + 1, ...BAND.map((level) => fit.first + quantileOf(fit, sizeOf(fit, values[i]), level, DRAWN))]);
  const lowest = Math.min(...band.map(([, low]) => low));
  const highest = Math.max(...band.map(([, , high]) => high), 1.25 * fit.first);
  const tops = [1, 10, 100, 1000, 10000, 100000, 1000000].flatMap((power) => [2, 3, 4, 5, 6, 8, 10, 12, 15].map((top) => top * power));
  const to = steady(svg, "loss", tops.find((top) => top >= highest) ?? highest);
  const from = to * [0.8, 0.75, 0.5].find((share) => lowest > share * to) || 0;
  const x = { from: 1, to: steady(svg, "generations", roundUp(G)), title: "generation", most: 5 };
  const frame = axes(svg, width, height, x, { from, to, title: "squared error on test rows", most: 5 }, { left: to >= 1e4 ? 64 : 48, right: 20 });
  const label = labels(svg, frame);
  const at = ([g, value]) => `${frame.x(g).toFixed(1)},${frame.y(value).toFixed(1)}`;
  shape(svg, "polygon", { class: "band", points: [...band.map(([g, low]) => [g, low]), ...band.map(([g, , high]) => [g, high]).reverse()].map(at).join(" ") });
  const named = [];
  for (const [rival, ratios, text] of rivals) {
    if (rival === name) continue;
    const seen = cutAt(Array.from(ratios, (ratio, i) => [i + 1, loss(ratio)]), to);
    line(svg, frame, seen, { class: "thin", "data-family": familyOf(rival) });
    label.avoid(seen);
    named.push([rival, seen, text]);
  }
  const points = Array.from(values, (ratio, i) => [i + 1, loss(ratio)]);
  line(svg, frame, points);
  label.avoid(points);
  const end = [frame.x(G), frame.y(loss(values[G - 1]))];
  dot(svg, frame, G, loss(values[G - 1]));
  grip(svg, { control: "generations", at: end, place: (g) => [frame.x(g), 0] });
  label.cover(...end, 14);
  const above = [-18, -28, 30, 42, -42].flatMap((shift) => [["end", end[0] + 10, end[1] + shift], ["end", end[0] - 40, end[1] + shift]]);
  label.write(called(name), above, { class: "name" });
  if (width > 300) {
    for (const [rival, seen, text] of named) {
      const places = [0.95, 0.8, 0.6, 0.45].flatMap((share) => {
        const [g, value] = seen[Math.round(share * (seen.length - 1))];
        return [["end", frame.x(g), frame.y(value) - 5], ["start", frame.x(g) + 6, frame.y(value) + 14]];
      });
      label.write(text, places, { class: "tick", "data-family": familyOf(rival) }, true);
    }
  }
  reads(svg, frame, values.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: ${plain(loss(values[i]), 4)}, ${worthOf(fit.n, values[i])}`,
    dots: [[frame.x(i + 1), frame.y(loss(values[i]))]],
  }));
  describe(svg, `Mean squared error on the test rows against generation under ${called(name)}: from ${plain(fit.first, 4)} to ${plain(loss(values[G - 1]), 4)}, among other workflows.`);
}

// A rising curve up to a height.
function cutAt(points, to) {
  const over = points.findIndex(([, value]) => value > to);
  if (over < 1) return points;
  const [[x0, y0], [x1, y1]] = [points[over - 1], points[over]];
  return [...points.slice(0, over), [x0 + ((to - y0) / (y1 - y0)) * (x1 - x0), to]];
}

const worthOf = (n, ratio) => `${n} rows worth ${plain(n / ratio, 3)}`;

function asPython(data, y, name, generations, parameters) {
  const [x_name, y_name] = data.names;
  const told = [generations, ...Object.entries(parameters).map(([key, value]) => `${key}=${value === true ? "True" : value === false ? "False" : value}`)];
  const frame = (x, values) => `pd.DataFrame({\n    "${x_name}": [${x.join(", ")}],\n    "${y_name}": [${values.join(", ")}],\n})`;
  return [
    "import pandas as pd", "import collapse", "",
    `real = ${frame(data.x, y)}`, `test = ${frame(data.x_test, data.y_test)}`,
    `plan = collapse.workflows.${name}(${told.join(", ")})`,
    "answer = collapse.forecast(",
    `    real, "${y_name}", plan, test_file=test, task="continuous", against=[]`,
    ")",
    "row = answer.workflows[0]",
    "print(answer.first.loss, row.derived[-1])",
    "print(row.derived_low[-1], row.derived_high[-1])", "",
  ].join("\n");
}

const LIFT = 50;
const others = remember((last) => RIVALS.map(([name, parameters, text]) => [name, curve(workflow(name, last, parameters)), text]));

export default explorer(({ state, parameters, data, picture, width }) => {
  const { workflow: name, generations, row, lift } = state;
  const y = data.y.map((value, i) => (i === Math.min(row, data.y.length) - 1 ? value + lift : value));
  const fit = fitted({ ...data, y });
  const { values } = follow(name, generations, parameters);
  const rivals = others(roundUp(generations)).map(([rival, all, text]) => [rival, all.subarray(0, generations), text]);
  const ratio = values[generations - 1];
  const height = heightFor(width) + 20;
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [1, 1], height);
  drawRows(left, leftWidth, height, data, y, fit, ratio, state);
  drawLoss(right, rightWidth, height, fit, name, values, rivals);
  const rise = ((ratio - 1) * fit.kappa) / fit.n;
  const [low, high] = BAND.map((level) => fit.first + quantileOf(fit, sizeOf(fit, ratio), level));
  const slope = fit.theta[1] / fit.width;
  return {
    family: familyOf(name),
    meaning: `Drag a row up or down. A line is fitted to ${fit.n} real rows; later fits learn the ${called(data.names[1])} from labels that earlier fits drew for the same rows. ${meaningOf(name, parameters)}`,
    summary: [
      `The line fitted to the real rows has slope `, ["slope", slope, signed(slope)], ` and a mean squared error of `, ["first", fit.first, plain(fit.first, 4)], ` on ${data.x_test.length} test rows. After ${times(generations, "generation")} of ${called(name)} it is `,
      ["derived", fit.first + rise, plain(fit.first + rise, 4)], " on average, ", ["percent", (100 * rise) / fit.first, percent(rise / fit.first)], " more; nine in ten runs end between ",
      ["low", low, plain(low, 4)], " and ", ["high", high, plain(high, 4)], `. Your ${fit.n} rows are then worth `, ["rows", fit.n / ratio, plain(fit.n / ratio, 3)], ".",
    ],
    python: asPython(data, y, name, generations, parameters),
  };
}, { plays: "generations" });
