// The tilt: samples from the logistic law, weighted by the likelihood ratio of the same law moved by h / sqrt(n).

const INFORMATION = 1 / 3;
const SHRINKAGE = 0.5;

// In the limit: variance of the scaled error, and how far it moves for each unit of h.
export const ESTIMATORS = {
  median: { variance: 4, passed: 1 },
  mean: { variance: Math.PI ** 2 / 3, passed: 1 },
  "Hodges' estimator": { variance: (SHRINKAGE ** 2 * Math.PI ** 2) / 3, passed: SHRINKAGE },
};

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
