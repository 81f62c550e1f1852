// The mathematics of retraining on synthetic data, in doubles, without a document: what the explorers draw.
//
// A plan says which fit each batch is drawn from (source; 0: the real world), its rows as a multiple of n (size), and for every fit
// which batches it reads: rows[g] = {batch, weight, kept}, three lists side by side; kept, the share of a batch's rows that is read,
// may be null: all of them. Fits count from 1 in `source` and in `generation`, everything else counts from 0.
// A reservoir, whose rows persist, is no plan: {turnover}, the share of its memory that is replaced before each fit.

const BASEL = Math.PI ** 2 / 6;

function plan(source, size, lists, { replace = false, generation = lists.map((_, g) => g + 1) } = {}) {
  const drawn = lists.map(() => []);
  source.forEach((fit, batch) => fit > 0 && drawn[fit - 1].push(batch));
  // arrays of one type: browsers run through them several times faster
  const rows = lists.map(({ batch, weight, kept }) => ({ batch: new Int32Array(batch), weight: new Float64Array(weight), kept }));
  return { source, size: Float64Array.from(size), rows, replace, generation, drawn };
}

// A plan from dense tables, one row for each fit and one column for each batch.
export function dense({ source, size, weight, kept, replace }) {
  const rows = weight.map((weights, g) => {
    const batch = weights.flatMap((value, b) => (value === 0 ? [] : [b]));
    return { batch, weight: batch.map((b) => weights[b]), kept: kept ? batch.map((b) => kept[g][b]) : null };
  });
  return plan(source, size, rows, { replace });
}

// Variance that the fresh draws of rows add to each fit, in units of one row's variance over n.
export function subsamplingNoise({ rows, size, replace }) {
  return Float64Array.from(rows, ({ batch, weight, kept }) => {
    let sum = 0;
    if (!kept && !replace) return sum;
    batch.forEach((b, i) => {
      const share = kept ? kept[i] : 1;
      sum += (weight[i] * weight[i] * (replace ? 1 / share : 1 / share - 1)) / size[b];
    });
    return sum;
  });
}

// How often each batch's noise is in one fit (c of that fit), and how often each fit's own draws are: read from the fit backwards.
export function contributions({ rows, source, drawn }, fit) {
  const batches = new Float64Array(source.length);
  const fits = new Float64Array(rows.length);
  fits[fit] = 1;
  for (let g = fit; g >= 0; g--) {
    for (const b of drawn[g]) fits[g] += batches[b];
    if (fits[g] === 0) continue;
    const { batch, weight } = rows[g];
    for (let i = 0; i < batch.length; i++) batches[batch[i]] += fits[g] * weight[i];
  }
  return { batches, fits };
}

function riskOf(plan, fit, noise) {
  const { batches, fits } = contributions(plan, fit);
  let risk = 0;
  for (let b = 0; b < batches.length; b++) risk += (batches[b] * batches[b]) / plan.size[b];
  for (let g = 0; g <= fit; g++) risk += fits[g] * fits[g] * noise[g];
  return risk;
}

// Risk of every fit over the risk of the first, in the Gaussian limit.
export function ratio(plan) {
  if (plan.turnover) {
    let risk = 0;
    return Float64Array.from(plan.turnover, (share) => (risk += share * (2 - share)));
  }
  const noise = subsamplingNoise(plan);
  const first = riskOf(plan, 0, noise);
  return Float64Array.from(plan.rows, (_, g) => riskOf(plan, g, noise) / first);
}

// Risk of the first fit in units of that of a fit to all real rows: 2 where it bootstraps them.
export const reference = (plan) => (plan.turnover ? 1 : riskOf(plan, 0, subsamplingNoise(plan)));

// Risk of every fit, read forwards: how often each batch's noise and each fit's own draws are in it. A fit whose weights are those of
// the fit before, all by one factor, but for a few batches, costs these few: a thousand generations that read all before them are cheap.
function forward(plan, noise) {
  const { rows, source } = plan;
  const B = source.length;
  const wide = noise.some((value) => value > 0) ? B + rows.length : B;
  const made = [];
  let last = new Float64Array(B);
  const sum = new Float64Array(wide);
  return rows.map(({ batch, weight }, g) => {
    const next = new Float64Array(B);
    for (let i = 0; i < batch.length; i++) next[batch[i]] += weight[i];
    const middle = batch[batch.length >> 1];
    const factor = last[middle] > 0 ? next[middle] / last[middle] : 0;
    for (let i = 0; i < wide; i++) sum[i] *= factor;
    for (let b = 0; b < B; b++) {
      const more = next[b] - factor * last[b];
      if (Math.abs(more) <= 1e-15 * next[b] || more === 0) continue;
      sum[b] += more;
      const from = source[b] && made[source[b] - 1];
      if (from) for (let i = 0; i < wide; i++) sum[i] += more * from[i];
    }
    const fit = sum.slice();
    if (wide > B) fit[B + g] += 1;
    [made[g], last] = [fit, next];
    let risk = 0;
    for (let b = 0; b < B; b++) risk += (fit[b] * fit[b]) / plan.size[b];
    for (let i = B; i < wide; i++) risk += fit[i] * fit[i] * noise[i - B];
    return risk;
  });
}

// Ratio of every generation: of the worst of its fits. In a named workflow all models but the first are alike.
export function curve(plan) {
  if (plan.turnover) return ratio(plan);
  const noise = subsamplingNoise(plan);
  // where batches are many more than fits, each fit read backwards is cheaper
  const risk = plan.source.length > 4 * plan.rows.length ? plan.rows.map((_, g) => riskOf(plan, g, noise)) : forward(plan, noise);
  return Float64Array.from(generations(plan), (fits) => Math.max(...fits.map((fit) => risk[fit])) / risk[0]);
}

// First and last fit of every generation.
function generations({ generation }) {
  const found = [];
  generation.forEach((label, fit) => (found[label - 1] = found[label - 1] ? [found[label - 1][0], fit] : [fit]));
  return found;
}

// Where the ratio of a generation (of the worst of its fits) comes from: parts due to the real batches, the synthetic batches and the
// draws, each listed by the generation in which a batch is first read or rows are drawn; their total is the ratio.
export function origins(plan, generation) {
  const [real, synthetic, draws] = [0, 1, 2].map(() => new Float64Array(generation));
  if (plan.turnover) {
    plan.turnover.slice(0, generation).forEach((share, g) => {
      (g === 0 ? real : synthetic)[g] = share;
      draws[g] = share * (1 - share);
    });
    return { real, synthetic, draws };
  }
  const noise = subsamplingNoise(plan);
  const first = riskOf(plan, 0, noise);
  const fit = generations(plan)[generation - 1].reduce((a, b) => (riskOf(plan, a, noise) >= riskOf(plan, b, noise) ? a : b));
  const { batches, fits } = contributions(plan, fit);
  const born = new Map();
  plan.rows.slice(0, fit + 1).forEach(({ batch }, g) => batch.forEach((b) => born.has(b) || born.set(b, plan.generation[g] - 1)));
  for (const [b, g] of born) (plan.source[b] === 0 ? real : synthetic)[g] += (batches[b] * batches[b]) / plan.size[b] / first;
  for (let g = 0; g <= fit; g++) draws[plan.generation[g] - 1] += (fits[g] * fits[g] * noise[g]) / first;
  return { real, synthetic, draws };
}

const upTo = (count) => Array.from({ length: count }, (_, i) => i);

// One batch before every fit, sizes[b] rows in it; read(g) -> [batches, weights, shares kept], g from 0.
function chain(generations, read, { size = 1, replace = false } = {}) {
  const rows = upTo(generations).map((g) => {
    const [batch, weight, kept = null] = read(g);
    return { batch, weight, kept };
  });
  return plan(upTo(generations), upTo(generations).map((b) => (b === 0 ? 1 : size)), rows, { replace });
}

const alike = (batch) => [batch, batch.map(() => 1 / batch.length)];

// Several models, each fitted to the latest output of its teachers, weighed alike, and to its own real rows.
function ecosystem(generations, models, share, published, teachers) {
  const source = upTo(models).map(() => 0);
  const rows = upTo(models).map((i) => ({ batch: [i], weight: [1], kept: null }));
  for (let g = 1; g < generations; g++) {
    const known = new Map(); // the batch of a teacher, for one reader or for all
    for (let i = 0; i < models; i++) {
      const heard = teachers(i, models).map((j) => {
        const key = published ? j : `${j} for ${i}`;
        if (!known.has(key)) known.set(key, source.push((g - 1) * models + j + 1) - 1);
        return known.get(key);
      });
      rows.push({ batch: [i, ...heard], weight: [share, ...heard.map(() => (1 - share) / heard.length)], kept: null });
    }
  }
  const generation = rows.map((_, fit) => Math.floor(fit / models) + 1);
  return plan(source, source.map(() => 1), rows, { generation });
}

// One real batch, then in every round g = 1, 2, ... the batches made(g), each [fit it is drawn from, rows]; read(g) -> [batches, weights].
function rounds(G, made, read) {
  const [source, size, rows] = [[0], [1], [{ batch: [0], weight: [1], kept: null }]];
  for (const g of upTo(G).slice(1)) {
    for (const [fit, share] of made(g)) {
      source.push(fit);
      size.push(share);
    }
    const [batch, weight] = read(g);
    rows.push({ batch, weight, kept: null });
  }
  return plan(source, size, rows);
}

const inProportion = (weight) => {
  const total = weight.reduce((sum, value) => sum + value);
  return [upTo(weight.length), weight.map((value) => value / total)];
};

// With `kept` below 1 every fit but the first, the reference, reads that share of the rows that the workflow calls for.
export function workflow(name, generations, { kept = 1, ...parameters }) {
  const all = WORKFLOWS[name](generations, parameters);
  if (kept === 1) return all;
  const shares = (row) => {
    const found = new Float64Array(row.batch.length);
    for (let i = 0; i < found.length; i++) found[i] = kept * (row.kept ? row.kept[i] : 1);
    return found;
  };
  const rows = all.rows.map((row, g) => (g === 0 ? row : { ...row, kept: shares(row) }));
  return { ...all, rows };
}

// The trigamma function: the sum of 1 / (x + j)^2 over j = 0, 1, 2, ...
export function trigamma(x) {
  let sum = 0;
  for (; x < 20; x++) sum += 1 / (x * x);
  const y = 1 / (x * x);
  return sum + 1 / x + y / 2 + (y / x) * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - (y * 5) / 66))));
}

const bounded = (limit) => ({ limit, growth: 0, logarithmic: false });
const collapsing = (growth, logarithmic = false) => ({ limit: Infinity, growth, logarithmic });

// What the ratio of a named workflow does in the end: its limit, or its growth by generation (by log g where logarithmic).
export const fate = (name, parameters) => FATES[name]?.(parameters);

// The stream of numpy.random.RandomState(seed), which numpy froze for good: Python and the page draw the same numbers.
// Uniform variates by Matsumoto and Nishimura's Mersenne twister (1998), normal ones by Marsaglia's polar method.
export function randomState(seed) {
  const words = new Uint32Array(624);
  let used = 624;
  let spare;
  words[0] = seed;
  for (let i = 1; i < 624; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;

  const word = () => {
    if (used === 624) {
      for (let i = 0; i < 624; i++) {
        const joined = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
        words[i] = words[(i + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
      }
      used = 0;
    }
    let y = words[used++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };

  // 53 bits in [0, 1)
  const uniform = () => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53;

  const normal = () => {
    if (spare !== undefined) {
      const kept = spare;
      spare = undefined;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * uniform() - 1;
      y = 2 * uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    spare = scale * x;
    return scale * y;
  };

  return { uniform, normal };
}
