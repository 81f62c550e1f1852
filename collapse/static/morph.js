// The morph: risk curves of many models, each in its own units, until they are divided by their first value.

// Mean squared error of the mean's estimate under discard and augment, exact at every n, for the families whose variance function
// is v0 + v1 mu + v2 mu^2: (V / v2) (prod (1 + v2 / (n k^2)) - 1) under augment, with n in place of n k^2 under discard.
export function morris(name, { variance, mean, generations }, n) {
  const [v0, v1, v2] = variance;
  const first = v0 + v1 * mean + v2 * mean ** 2;
  let sum = 0;
  return Float64Array.from({ length: generations }, (_, i) => {
    const step = name === "augment" ? 1 / (n * (i + 1) ** 2) : 1 / n;
    sum += v2 === 0 ? step : Math.log1p(v2 * step);
    return first * (v2 === 0 ? sum : Math.expm1(sum) / v2);
  });
}

// A curve divided by its first value to the power `share`: 0 leaves it as it is, 1 makes it a ratio.
export const divided = (risk, share) => Array.from(risk, (value) => value / risk[0] ** share);
