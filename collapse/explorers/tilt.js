// The tilt: samples from the logistic law, weighted by the likelihood ratio of the same law moved by h / sqrt(n).

// log of the product of change(value) over `count` values; eight factors at a time are far from the largest double.
function logOfProduct(values, start, count, change) {
  let sum = 0;
  for (let i = 0; i < count; i += 8) {
    let product = 1;
    for (let j = i; j < Math.min(i + 8, count); j++) product *= change(values[start + j]);
    sum += Math.log(product);
  }
  return sum;
}

// Samples of n rows (n odd) at location 0: each estimator's sqrt(n) times error, and the log-likelihood ratio as a function of h.
export function samples({ n, replications, seed }) {
  const root = Math.sqrt(n);
  const { uniform } = randomState(seed);
  const odds = Float64Array.from({ length: n * replications }, () => {
    const u = uniform();
    return (1 - u) / u;
  });
  const errors = Object.fromEntries(Object.keys(ESTIMATORS).map((name) => [name, new Float64Array(replications)]));
  for (let r = 0; r < replications; r++) {
    const mine = odds.slice(r * n, (r + 1) * n).sort();
    const mean = -logOfProduct(mine, 0, n, (value) => value) / n;
    errors.median[r] = -root * Math.log(mine[(n - 1) / 2]);
    errors.mean[r] = root * mean;
    errors["Hodges' estimator"][r] = root * mean * (Math.abs(mean) <= n ** -0.25 ? SHRINKAGE : 1);
  }
  // the density at location d is e / (1 + e)^2 with e = exp(d - x), and exp(-x) is kept in odds
  const level = (d) => Float64Array.from(errors.mean, (_, r) => logOfProduct(odds, r * n, n, (value) => 1 + value * Math.exp(d)));
  const before = level(0);
  const logRatio = (h) => level(h / root).map((value, r) => root * h - 2 * (value - before[r]));
  return { errors, logRatio };
}

// Mean and covariance [xx, xy, yy] of two columns under weights.
export function moments(x, y, weight) {
  const total = weight.reduce((sum, w) => sum + w, 0);
  const average = (term) => x.reduce((sum, _, r) => sum + weight[r] * term(r), 0) / total;
  const mean = [average((r) => x[r]), average((r) => y[r])];
  const apart = (r) => [x[r] - mean[0], y[r] - mean[1]];
  const covariance = [[0, 0], [0, 1], [1, 1]].map(([i, j]) => average((r) => apart(r)[i] * apart(r)[j]));
  return { mean, covariance };
}

// How far the weights move the mean of x, with its standard error; and how many equal weights would be as good.
export function shift(x, weight) {
  const plainly = x.reduce((sum, value) => sum + value, 0) / x.length;
  const total = weight.reduce((sum, w) => sum + w, 0);
  const weighted = x.reduce((sum, value, r) => sum + weight[r] * value, 0) / total;
  const error = Math.hypot(...x.map((value, r) => (weight[r] * (value - weighted)) / total - (value - plainly) / x.length));
  return { moved: weighted - plainly, error, effective: total ** 2 / weight.reduce((sum, w) => sum + w * w, 0) };
}

// Points two standard deviations from the mean, of a covariance [xx, xy, yy].
function ellipse([mx, my], [xx, xy, yy]) {
  const a = Math.sqrt(xx);
  const b = xy / a;
  const c = Math.sqrt(Math.max(0, yy - b * b));
  return Array.from({ length: 73 }, (_, i) => {
    const [cos, sin] = [2 * Math.cos((i * Math.PI) / 36), 2 * Math.sin((i * Math.PI) / 36)];
    return [mx + a * cos, my + b * cos + c * sin];
  });
}

function drawTilt(svg, width, height, { h, x, y, weight, before, after, covariance, found }) {
  const [xEnd, yEnd] = [7, 4.2];
  const frame = axes(
    svg, width, height,
    { from: -xEnd, to: xEnd, at: [-6, -4, -2, 0, 2, 4, 6], say: signed, title: "√n (estimate − truth)" },
    { from: -yEnd, to: yEnd, at: [-4, -2, 0, 2, 4], say: signed, title: "log-likelihood ratio" },
    { top: 44, left: 30, right: 8 },
  );
  shape(svg, "line", { class: "axis", x1: frame.x(h), x2: frame.x(h), y1: frame.top - 8, y2: frame.bottom });
  shape(svg, "text", { class: "name", x: frame.x(h) + 14, y: frame.top - 4 }, "h");
  grip(svg, { control: "h", at: [frame.x(h), frame.top - 8], place: (value) => [frame.x(value), 0], line: true });
  x.forEach((value, r) => {
    const inside = Math.abs(value) < xEnd && Math.abs(y[r]) < yEnd;
    if (inside) dot(svg, frame, value, y[r], { class: "faint", r: (1.7 * Math.sqrt(weight[r])).toFixed(2) });
  });
  line(svg, frame, ellipse(before, covariance), { class: "limit" });
  line(svg, frame, ellipse(after, covariance), { class: "curve" });
  line(svg, frame, ellipse(found.mean, found.covariance), { class: "dotted" });
  line(svg, frame, [before, after], { class: "curve" });
  dot(svg, frame, ...found.mean, { r: 6 });
  // beside the leftmost point of the one ellipse and the rightmost of the other
  const reach = 2 * Math.sqrt(covariance[0]);
  const slope = covariance[1] / covariance[0];
  const name = ([mx, my], side, text) => {
    const [px, py] = [frame.x(mx + side * reach), frame.y(my + side * reach * slope)];
    shape(svg, "text", { x: px, y: py + (side * h < 0 || (h === 0 && side < 0) ? 20 : -12), "text-anchor": "middle" }, text);
  };
  name(before, h < 0 ? 1 : -1, "before");
  name(after, h < 0 ? -1 : 1, "after");
}

const sampled = remember(samples);

export default explorer(({ state: { estimator, h, seed }, data: { n, replications }, picture, width }) => {
  const { errors, logRatio } = sampled({ n, replications, seed });
  const x = errors[estimator];
  const y = logRatio(h);
  const weight = y.map(Math.exp);
  const found = moments(x, y, weight);
  const { moved, error, effective } = shift(x, weight);
  const { variance, passed } = ESTIMATORS[estimator];
  const half = (h ** 2 * INFORMATION) / 2;
  const limit = { before: [0, -half], after: [passed * h, half], covariance: [variance, passed * h, 2 * half] };
  const height = width < 450 ? 310 : 370;
  const [[svg]] = panels(picture, width, [1], height);
  drawTilt(svg, width, height, { h, x, y, weight, found, ...limit });
  describe(
    svg,
    `${replications} dots, log-likelihood ratio against scaled error of the ${estimator}, each as large as its likelihood ratio. An ellipse where ` +
      "the cloud is, one where Le Cam's third lemma moves it, and a dotted one around the weighted dots.",
  );
  const spread = (of) => plain(Math.sqrt(of.covariance[0]), 3);
  return {
    family: "real",
    meaning:
      `A dot is a sample of ${whole(n)} rows from the logistic law at 0; its area is the likelihood ratio of the same law at h/√n. Dashed: the cloud in the limit; ` +
      "solid: the same, moved as Le Cam's third lemma says; dotted: the dots, weighted by their areas.",
    summary: [
      "Weighted, the errors move by ", ["moved", moved, signed(moved, 2)], ` ± ${plain(2 * error, 1)}; Le Cam's third lemma says `, ["law", passed * h, signed(passed * h, 2)],
      ". ",
      passed === 1 ? "A regular estimator moves by h, whatever its spread." : "This one is not regular: it moves by half of h, and hands on half of an error.",
      ` In the limit their standard deviation is ${plain(Math.sqrt(variance), 3)} before and after. In these ${whole(replications)} samples it is ${spread(moments(x, y, x.map(() => 1)))} before; weighted, when they are worth `,
      ["effective", effective, plain(effective, 2)], ` samples, ${spread(found)}`,
      passed === 1 ? "." : `, since ${whole(n)} rows are few: a mean more than ${plain(n ** 0.25, 2)}/√n from 0 is not shrunk.`,
    ],
  };
}, { plays: "h" });
