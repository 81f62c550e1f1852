// The mathematics of retraining on synthetic data, in doubles, without a document: what the explorers draw.
//
// A plan is {source, size, weight, kept, replace}: which fit each batch is drawn from (0: the real world), its rows as a multiple
// of n, and for every fit the share of its weight on each batch and the share of that batch's rows that it reads.
// Fits and batches count from 1 in a plan's tables, and from 0 in JavaScript's arrays.

// (I - A)^-1 times a table with one row for each fit, by forward substitution: row g gains weight[g][b] times the row of b's source.
function substitute(plan, rows) {
  rows.forEach((row, g) => {
    plan.weight[g].forEach((weight, b) => {
      const source = plan.source[b];
      if (source === 0 || weight === 0) return;
      const from = rows[source - 1];
      for (let i = 0; i < row.length; i++) row[i] += weight * from[i];
    });
  });
  return rows;
}

// Variance that the fresh draws of rows add to each fit, in units of one row's variance over n.
function subsamplingNoise(plan) {
  return plan.weight.map((weights, g) =>
    weights.reduce((sum, weight, b) => {
      if (weight === 0) return sum;
      const kept = plan.kept ? plan.kept[g][b] : 1;
      return sum + (weight * weight * (plan.replace ? 1 / kept : 1 / kept - 1)) / plan.size[b];
    }, 0),
  );
}

// c, one row for each fit and one column for each batch: u_g = sum_b c[g][b] Z_b + subsampling noise.
export function contributions(plan) {
  return substitute(plan, plan.weight.map((row) => Float64Array.from(row)));
}

// Risk of each fit over the risk of the first, in the Gaussian limit.
export function ratio(plan) {
  const noise = subsamplingNoise(plan);
  const risk = contributions(plan).map((row) => row.reduce((sum, c, b) => sum + (c * c) / plan.size[b], 0));
  if (noise.some((variance) => variance > 0)) {
    const identity = noise.map((_, g) => Float64Array.from(noise, (_, h) => Number(g === h)));
    substitute(plan, identity).forEach((row, g) => {
      risk[g] = row.reduce((sum, c, h) => sum + c * c * noise[h], risk[g]);
    });
  }
  return Float64Array.from(risk, (value) => value / risk[0]);
}

// The weight of batch b in fit g, both counted from 1, where fit g is the first to see batch g.
const WEIGHTS = {
  discard: () => (g, b) => Number(b === g),
  augment: () => (g, b) => (b <= g ? 1 / g : 0),
  subsample: () => (g, b) => (b <= g ? 1 / g : 0),
  "fixed real share": ({ realShare }) => (g, b) => (g === 1 ? Number(b === 1) : b === 1 ? realShare : b === g ? 1 - realShare : 0),
  window: ({ window }) => (g, b) => (b <= g && b > g - window ? 1 / Math.min(g, window) : 0),
};

export const WORKFLOWS = Object.keys(WEIGHTS);

// A named workflow as a plan. From generation 2 on a fit reads the share `kept` of the rows that the workflow calls for:
// of every batch in full, or, under subsample, of the share 1/g of every batch. Fit 1 reads all real rows: it is the reference.
export function workflow(name, { generations, kept = 1, realShare = 0, window = 1 }) {
  const weight = WEIGHTS[name]({ realShare, window });
  const numbers = Array.from({ length: generations }, (_, i) => i + 1);
  const share = (g) => (g === 1 ? 1 : kept) / (name === "subsample" ? g : 1);
  return {
    source: numbers.map((b) => b - 1),
    size: numbers.map(() => 1),
    weight: numbers.map((g) => Float64Array.from(numbers, (b) => weight(g, b))),
    kept: numbers.map((g) => new Float64Array(generations).fill(share(g))),
    replace: false,
  };
}

// What the ratio of a named workflow does in the end: {limit} where it is bounded, otherwise {rate}, its growth by generation.
export function fate(name, { kept = 1, realShare = 0, window = 1 }) {
  const basel = Math.PI ** 2 / 6;
  const extra = 1 / kept - 1;
  const rest = (1 - realShare) ** 2;
  switch (name) {
    // u_g = u_{g-1} + Z_g / g, and draws of variance extra / g that later fits average away; sum 1 / (g (g+1)^2) = 2 - pi^2/6
    case "augment":
      return { limit: basel + extra * (7 / 4 - basel) };
    case "subsample":
      return { limit: 2 * basel - 7 / 4 + (basel - 1 / 4) / kept };
    // the distance from the real data's estimate is a stationary autoregression with coefficient 1 - realShare
    case "fixed real share":
      return realShare > 0 ? { limit: 1 + (rest + extra * (realShare ** 2 + rest)) / (1 - rest) } : { rate: 1 + extra };
    // a moving average of what it made itself: a random walk slowed by the mean age of what it reads, (window + 1) / 2
    case "window":
      return { rate: ((1 + extra / window) * 4) / (window + 1) ** 2 };
    default:
      return { rate: 1 + extra };
  }
}
