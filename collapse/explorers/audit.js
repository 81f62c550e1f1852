// An audit of losses that a reader types in, pastes or draws: collapse.auditing in JavaScript, with fewer simulated sets of losses.
//
// A line of losses says what they are, then "*", then the runs, split by "_", numbers by spaces, as they were typed.

const [ROOM, MOST_RUNS] = [20, 8]; // generations, runs
const METRICS = {
  loss: { of: (v) => v, to: (v) => v, fits: Number.isFinite, words: "A loss is a finite number" },
  perplexity: { of: Math.log, to: Math.exp, fits: (v) => v > 0, words: "A perplexity is greater than 0" },
  "log-likelihood": { of: (v) => -v, to: (v) => -v, fits: Number.isFinite, words: "A log-likelihood is a finite number" },
  accuracy: { of: (v) => 1 - v, to: (v) => 1 - v, fits: (v) => v >= 0 && v <= 1, words: "An accuracy is from 0 to 1" },
};

// ---- from text to losses

// Runs of numbers as they stand in a text, one run a line, or one number a line; brackets, as in Python's lists, end a line too.
export function runsIn(text) {
  const lines = text.replace(/[[(]/g, " ").replace(/[\])]\s*,?/g, "\n").split(/[\n;_]/);
  const rows = lines.map((line) => line.split(/[\s,]+/).filter(Boolean)).filter((row) => row.length);
  return rows.length > 1 && rows.every((row) => row.length === 1) ? [rows.flat()] : rows;
}

// What is wrong with runs of typed numbers, in one sentence; nothing where they can be audited.
export function wrongWith(metric, runs) {
  const [R, G] = [runs.length, runs[0]?.length ?? 0];
  for (const text of runs.flat()) if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(text)) return `“${text.slice(0, 20)}” is no number such as 0.41 or 4.1e-1.`;
  const uneven = runs.findIndex((run) => run.length !== G);
  if (uneven > 0) return `Each line is a run, and all runs must have the same generations: line 1 has ${G}, line ${uneven + 1} has ${runs[uneven].length}.`;
  if (G < 3) return `An audit needs the losses of at least 3 generations, such as 0.40 0.44 0.48; ${G === 1 ? "here is 1" : `here are ${G}`}.`;
  if (G > ROOM || R > MOST_RUNS) return `Here is room for ${ROOM} generations and ${MOST_RUNS} runs, and these are ${G} and ${R}; collapse.audit in Python takes more.`;
  const { of, fits, words } = METRICS[metric];
  for (const [r, run] of runs.entries()) {
    const g = run.findIndex((text) => !fits(Number(text)) || Math.abs(Number(text)) >= 1e100);
    if (g >= 0) return `${words}${Math.abs(Number(run[g])) >= 1e100 ? ", below 1e100" : ""}; in generation ${g + 1}${R > 1 ? ` of run ${r + 1}` : ""} it is ${run[g]}.`;
  }
  const losses = runs.flat().map((text) => of(Number(text)));
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  if (high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high))) return "The losses are all the same, so that they say nothing of a workflow.";
  return undefined;
}

const split = (text) => {
  const [metric, rest] = text.split("*");
  return { metric, runs: (rest ?? "").split("_").map((run) => run.split(" ").filter(Boolean)) };
};
const joined = ({ metric, runs }) => `${metric}*${runs.map((run) => run.join(" ")).join("_")}`;

READERS.losses = (text) => {
  const { metric, runs } = split(text);
  return metric in METRICS && text === joined({ metric, runs }) && !wrongWith(metric, runs) ? text : undefined;
};

export function asPython(text, rule) {
  const { metric, runs } = split(text);
  const rows = runs.map((run) => `[${run.map((one) => String(Number(one))).join(", ")}]`);
  const table = rows.length === 1 ? rows[0] : `[\n${rows.map((row) => `    ${row},\n`).join("")}]`;
  return ["import collapse", "", `losses = ${table}`, `answer = collapse.audit(losses, workflow="${rule}"${metric === "loss" ? "" : `, metric="${metric}"`})`, "print(answer)", ""].join("\n");
}

// ---- the law of losses: see collapse.auditing.laws

const NU = Array.from({ length: 9 }, (_, i) => 2 ** i);
const LINEAR = [0, 1, 4];
const WORLDS = LINEAR.flatMap((linear, l) => NU.map((nu) => ({ nu, linear, l })));
const NORMAL = 64;
const TOUCH = 1e-12;
const [DOUBT, FAR, FEW, TIE] = [0.01, 20, 5, 1e-9];
const [DRAWS, SEED] = [200, 1];

// The lower root of a positive matrix, a list of rows.
function cholesky(A) {
  const root = A.map(() => new Float64Array(A.length));
  for (let i = 0; i < A.length; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = A[i][j];
      for (let k = 0; k < j; k++) sum -= root[i][k] * root[j][k];
      root[i][j] = i === j ? Math.sqrt(sum) : sum / root[j][j];
    }
  }
  return root;
}

function inverse(root) {
  const out = root.map(() => new Float64Array(root.length));
  for (let j = 0; j < root.length; j++) {
    out[j][j] = 1 / root[j][j];
    for (let i = j + 1; i < root.length; i++) {
      let sum = 0;
      for (let k = j; k < i; k++) sum -= root[i][k] * out[k][j];
      out[i][j] = sum / root[i][i];
    }
  }
  return out;
}

const added = (C, entry, touch) => C.map((row, i) => Array.from(row, (c, j) => entry(c) + (i === j ? touch : 0)));
const dotted = (a, b, count) => {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
};
const whiten = (white, vector, count) => Float64Array.from({ length: count }, (_, i) => dotted(white[i], vector, i + 1));

// Covariance of a plan's fits at these generations.
export function covariance(plan, generations) {
  const noise = subsamplingNoise(plan);
  const found = generations.map((g) => contributions(plan, g - 1));
  return found.map((a) => Float64Array.from(found, (b) => {
    let sum = 0;
    for (let i = 0; i < a.batches.length; i++) sum += (a.batches[i] * b.batches[i]) / plan.size[i];
    for (let i = 0; i < noise.length; i++) sum += a.fits[i] * b.fits[i] * noise[i];
    return sum;
  }));
}

function lawOf(mean, C) {
  const spreads = WORLDS.map(({ nu, linear }) => added(C, (c) => (2 / nu) * (c * c + linear * c), TOUCH));
  // what many draws are fitted by: the worlds of one linear term have one shape
  const shapes = LINEAR.map((linear) => added(C, (c) => c * c + linear * c, 8 * TOUCH));
  const whitened = (spread) => {
    const root = cholesky(spread);
    return { white: inverse(root), height: root.map((row, i) => Math.log(row[i])) };
  };
  return { mean, C, exact: spreads.map(whitened), shapes: shapes.map(whitened) };
}

const most = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
const sum = (values, count = values.length) => {
  let all = 0;
  for (let i = 0; i < count; i++) all += values[i];
  return all;
};

// From sums over whitened losses to the log-likelihood and the most likely scale; `a` multiplies the whitening's square.
function likeliest(square, slope, curve, height, count, a, out) {
  const [q, s] = [Math.max(a * square, 1e-300), a * slope];
  const inv = (s + Math.sqrt(s * s + 4 * q * count)) / (2 * q);
  out[0] = count * Math.log(inv) - 0.5 * (q * inv * inv - 2 * s * inv + a * curve) - height;
  out[1] = 1 / inv;
}

// Log-likelihoods and scales of runs, in every world, from their first `m` generations.
function fit(law, runs, m) {
  const R = runs.length;
  const centre = sum(runs.map((run) => sum(run))) / (R * runs[0].length);
  const centred = runs.map((run) => run.map((one) => one - centre));
  const count = R * m - 1;
  return law.exact.map(({ white, height }) => {
    const line = whiten(white, law.mean, m);
    const one = whiten(white, new Float64Array(m).fill(1), m);
    const ys = centred.map((run) => whiten(white, run, m));
    const total = Float64Array.from({ length: m }, (_, i) => sum(ys.map((y) => y[i])));
    const ones = R * dotted(one, one, m);
    const cross = R * dotted(one, line, m);
    const level = dotted(one, total, m);
    const square = sum(ys.map((y) => dotted(y, y, m))) - (level * level) / ones;
    const slope = dotted(line, total, m) - (cross * level) / ones;
    const curve = R * dotted(line, line, m) - (cross * cross) / ones;
    const out = [];
    likeliest(square, slope, curve, R * sum(height, m) + 0.5 * Math.log(ones), count, 1, out);
    return { likelihood: out[0], scale: out[1] };
  });
}

// The same for sets of drawn losses: the best log-likelihood over worlds, and in world `own` log-likelihood and scale.
function fitDraws(law, draws, R, G, own) {
  const H = law.mean.length;
  const count = R * G - 1;
  const best = new Float64Array(DRAWS).fill(-Infinity);
  const [mine, scale] = [new Float64Array(DRAWS), new Float64Array(DRAWS)];
  const out = [0, 0];
  const total = new Float64Array(G);
  law.shapes.forEach(({ white, height }, l) => {
    const line = whiten(white, law.mean, G);
    const one = whiten(white, new Float64Array(G).fill(1), G);
    const ones = R * dotted(one, one, G);
    const cross = R * dotted(one, line, G);
    const curve = R * dotted(line, line, G) - (cross * cross) / ones;
    const heights = NU.map((nu) => R * (sum(height, G) - (G / 2) * Math.log(nu / 2)) + 0.5 * Math.log((ones * nu) / 2));
    for (let s = 0; s < DRAWS; s++) {
      let squares = 0;
      total.fill(0);
      for (let r = 0; r < R; r++) {
        const from = (s * R + r) * H;
        for (let i = 0; i < G; i++) {
          const row = white[i];
          let y = 0;
          for (let j = 0; j <= i; j++) y += row[j] * draws[from + j];
          squares += y * y;
          total[i] += y;
        }
      }
      const level = dotted(one, total, G);
      const square = squares - (level * level) / ones;
      const slope = dotted(line, total, G) - (cross * level) / ones;
      for (let v = 0; v < NU.length; v++) {
        likeliest(square, slope, curve, heights[v], count, NU[v] / 2, out);
        if (out[0] > best[s]) best[s] = out[0];
        if (l * NU.length + v === own) [mine[s], scale[s]] = out;
      }
    }
  });
  return { best, mine, scale };
}

// Sets of runs of scale 1 and floor 0 in one world, from the same stream as in Python.
function draw(law, world, R) {
  const { nu, linear } = WORLDS[world];
  const H = law.mean.length;
  const { normal } = randomState(SEED + world);
  const wide = nu > NORMAL;
  const root = cholesky(wide ? added(law.C, (c) => (2 / nu) * (c * c + linear * c), TOUCH) : added(law.C, (c) => c, TOUCH));
  const out = new Float64Array(DRAWS * R * H);
  const along = new Float64Array(out.length);
  const z = new Float64Array(H);
  for (let part = 0; part < (wide ? 1 : nu); part++) {
    for (let from = 0; from < out.length; from += H) {
      for (let i = 0; i < H; i++) z[i] = normal();
      for (let i = 0; i < H; i++) {
        const u = dotted(root[i], z, i + 1);
        out[from + i] += wide ? u : (u * u) / nu;
        along[from + i] += u;
      }
    }
  }
  for (let i = 0; i < out.length; i++) {
    const g = i % H;
    out[i] += wide ? law.mean[g] : law.mean[g] - law.C[g][g] + (Math.sqrt((2 * linear) / nu) * along[i]) / Math.sqrt(nu);
  }
  return out;
}

// ---- the audit: see collapse.auditing.study and worlds

// All laws of so many runs and generations, and what was simulated in them: neither depends on the losses.
const laboratory = remember(({ R, G, at, workflows }) => {
  const generations = [...upTo(G).map((g) => g + 1), at];
  const laws = new Map();
  const law = (name) => {
    if (!laws.has(name)) {
      const [kind, parameters] = workflows[name] ?? [];
      const C = kind ? covariance(workflow(kind, at, parameters), generations) : generations.map((g) => Float64Array.from(generations, (h) => ODDITIES[name].C(Math.min(g, h))));
      laws.set(name, lawOf(kind ? Float64Array.from(C, (row, i) => row[i]) : Float64Array.from(generations, ODDITIES[name].mean), C));
    }
    return laws.get(name);
  };
  const made = new Map();
  // Draws of one world: rivals' lead in likelihood, scales, and by how much the best other law is more likely.
  const world = (name, k) => {
    const key = `${name} ${k}`;
    if (!made.has(key)) {
      const draws = draw(law(name), k, R);
      const { best, mine, scale } = fitDraws(law(name), draws, R, G, k);
      const known = new Map();
      const bestOf = (other) => {
        if (!known.has(other)) known.set(other, fitDraws(law(other), draws, R, G, -1).best);
        return known.get(other);
      };
      const surplus = (others) => Float64Array.from(best, (own, s) => others.reduce((lead, other) => Math.max(lead, bestOf(other)[s]), -Infinity) - own);
      made.set(key, { k, draws, lead: best.map((one, s) => one - mine[s]), scale, pivot: scale.slice().sort(), surplus });
    }
    return made.get(key);
  };
  return { law, world };
});

let squares = [0];
const squaresTo = (g) => {
  while (squares.length <= g) squares = [...squares, squares.at(-1) + 1 / squares.length ** 2];
  return squares[g];
};
// courses that no workflow takes: what a wrong generator or training does
const ODDITIES = {
  "a bias that adds up": { mean: (g) => g * g, C: (g) => g },
  "one jump": { mean: (g) => (g > 1 ? 4 : 1), C: squaresTo },
};

function quantile(sorted, level) {
  const at = level * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

const share = (values, seen) => (1 + values.reduce((count, value) => count + (value >= seen), 0)) / (1 + values.length);

// Worlds that the fits do not contradict, the most likely one first.
function consistent(lab, name, fits, few) {
  const seen = fits.map(({ likelihood }) => likelihood);
  let order = upTo(WORLDS.length).sort((a, b) => seen[b] - seen[a]);
  const top = seen[order[0]];
  if (few) {
    const near = order.filter((k) => seen[k] > top - 3);
    const ends = ["nu", "linear"].flatMap((part) => [-1, 1].map((sign) => near[most(near.map((k) => sign * WORLDS[k][part]))]));
    order = [...new Set([...order.slice(0, 2), ...ends])].slice(0, few);
  }
  const out = [];
  for (const k of order) {
    if (top - seen[k] > FAR) break;
    const one = lab.world(name, k);
    if (!out.length || share(one.lead, top - seen[k]) > DOUBT) out.push(one);
  }
  return out;
}

// How the mean over runs at a later generation is foreseen: weights of floor, scale and of each mean loss.
function prediction(law, k, G) {
  const { white } = law.exact[k];
  const { nu, linear } = WORLDS[k];
  const cross = law.C[G].map((c) => (2 / nu) * (c * c + linear * c));
  const inner = whiten(white, cross, G);
  const pull = Float64Array.from({ length: G }, (_, j) => sum(upTo(G).map((i) => white[i][j] * inner[i])));
  const ones = Float64Array.from({ length: G }, (_, j) => sum(upTo(G).map((i) => white[i][j] * sum(white[i], i + 1))));
  const [floorBy, scaleBy] = [1 - sum(pull), law.mean[G] - dotted(pull, law.mean, G)];
  const floor = (mean, scale) => (dotted(mean, ones, G) - scale * dotted(ones, law.mean, G)) / sum(ones);
  return { floor, guess: (mean, scale) => floorBy * floor(mean, scale) + scaleBy * scale + dotted(mean, pull, G) };
}

// What collapse.audit says of losses, a list of runs, under the workflow `rule`.
export function audited({ losses, rule, workflows, against }) {
  const [R, G] = [losses.length, losses[0].length];
  const at = Math.max(20, 2 * G);
  const lab = laboratory({ R, G, at, workflows });
  const names = [...new Set([rule, ...against])];
  const all = [...names, ...Object.keys(ODDITIES)];
  const fits = Object.fromEntries(all.map((name) => [name, fit(lab.law(name), losses, G)]));
  const likelihood = Object.fromEntries(all.map((name) => [name, Math.max(...fits[name].map((one) => one.likelihood))]));
  const highest = Math.max(...Object.values(likelihood));
  const mean = Float64Array.from({ length: G }, (_, g) => sum(losses.map((run) => run[g])) / R);
  const rows = names.map((name) => {
    const kept = consistent(lab, name, fits[name], name === rule ? undefined : FEW);
    const others = all.filter((other) => other !== name);
    const surplus = Math.max(...others.map((other) => likelihood[other])) - likelihood[name];
    const p = Math.min(1, DOUBT + Math.max(...kept.map((world) => share(world.surplus(others), surplus - TIE))));
    const k = kept[0].k;
    const scale = fits[name][k].scale;
    const law = lab.law(name);
    const floor = prediction(law, k, G).floor(mean, scale);
    return { name, p, surplus, likelihood: likelihood[name] - highest, ratio: law.mean[G], kept, k, scale, floor, fitted: Array.from(law.mean.slice(0, G), (one) => floor + scale * one) };
  });
  const [row] = rows;
  const law = lab.law(rule);
  const { scale, kept, k } = row;
  const tail = (1 - 0.95 - DOUBT) / 2;
  const ends = kept.map((world) => [1 - tail, tail].map((level) => fits[rule][world.k].scale / quantile(world.pivot, level)));
  const later = kept.map((world) => {
    const { floor, guess } = prediction(law, world.k, G);
    const own = fits[rule][world.k].scale;
    world.off ??= Float64Array.from({ length: DRAWS }, (_, s) => {
      const average = (g) => sum(upTo(R).map((r) => world.draws[(s * R + r) * (G + 1) + g])) / R;
      const drawn = Float64Array.from({ length: G }, (_, g) => average(g));
      return (average(G) - guess(drawn, world.scale[s])) / world.scale[s];
    }).sort();
    return { floor, told: guess(mean, own), ends: [0.025, 0.975].map((level) => guess(mean, own) + own * quantile(world.off, level)) };
  });
  kept[0].band ??= upTo(G).map((g) => {
    const values = Float64Array.from({ length: DRAWS * R }, (_, i) => kept[0].draws[i * (G + 1) + g]).sort();
    return [0.025, 0.975].map((level) => quantile(values, level));
  });
  const half = Math.min(Math.max(Math.floor(G / 2), 2), G - 2);
  const early = fit(law, losses, half + 1)[k].scale;
  const odd = Object.keys(ODDITIES).reduce((best, name) => (likelihood[name] > likelihood[best] ? name : best));
  const finds = Object.values(likelihood);
  return {
    rule, R, G, at, ...row,
    // workflows that have been alike so far stay in their order
    table: [row, ...rows.slice(1).sort((a, b) => Math.round(1e9 * b.likelihood) - Math.round(1e9 * a.likelihood))],
    low: Math.min(scale, ...ends.map(([low]) => low)),
    high: Math.max(scale, ...ends.map(([, high]) => high)),
    loss: later[0].told,
    lossLow: Math.min(...later.map((one) => one.ends[0])),
    lossHigh: Math.max(...later.map((one) => one.ends[1])),
    band: kept[0].band.map((pair) => pair.map((one) => row.floor + scale * one)),
    pace: (mean[G - 1] - mean[half]) / (early * (law.mean[G - 1] - law.mean[half])),
    oddity: likelihood[odd] >= Math.max(...finds) ? odd : undefined,
    falls: sum(losses.map((run) => run[G - 1])) < sum(losses.map((run) => run[0])),
  };
}

// ---- in words: see collapse.auditing.prose

// A number as Python's format writes it with so many digits.
export function general(value, digits) {
  if (value === 0) return "0";
  const [body, power] = value.toExponential(digits - 1).split("e");
  const e = Number(power);
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (e >= -4 && e < digits) return trimmed(value.toFixed(digits - 1 - e));
  return `${trimmed(body)}e${e < 0 ? "-" : "+"}${String(Math.abs(e)).padStart(2, "0")}`;
}
const inShort = (value) => (Math.abs(value) < 1e5 ? general(value, 4) : whole(Math.round(value)));
const SEEN = { accuracy: "share of errors", perplexity: "loss in nats, the logarithm of perplexity" };

// Sentences of an audit, in the pieces of a summary.
function said(told, metric, suspects) {
  const { rule, R, G, at, table, p, pace } = told;
  const logged = `The losses (${times(R, "run")} of ${G} generations)`;
  const compatible = p > 0.05;
  const kept = table.slice(1).filter((row) => row.p > 0.05).map(({ name }) => name);
  const gone = table.filter((row) => row.p <= 0.05).map(({ name }) => name);
  const pieces = [`${logged} ${compatible ? `are compatible with ${rule}` : `are not what ${rule} would give`}: p = `, ["p", p, general(p, 2)], "."];
  if (!compatible) {
    const speed = pace <= 0 ? [` They rise not at all, in their second half, where ${rule} lets them`] : [" They rise ", ["pace", pace, general(pace, 2)], ` times as fast, in their second half, as ${rule} allows`];
    pieces.push(...speed, `: ${suspects}.`);
    if (told.oddity) pieces.push(` What fits best is no workflow at all, but ${told.oddity}.`);
  }
  const parts = [...(kept.length ? [`${compatible ? "also " : ""}compatible: ${kept.join(", ")}`] : []), ...(gone.length ? [`contradicted at 5 %: ${gone.join(", ")}`] : [])].join("; ");
  if (parts) pieces.push(` ${parts[0].toUpperCase()}${parts.slice(1)}.`);
  const { scale, low, high, loss, lossLow, lossHigh } = told;
  const worth = 1000 / told.ratio;
  pieces.push(
    ` Under ${rule}, κ / n is `, ["scale", scale, inShort(scale)], " (95 % interval: ", ["scale-low", low, inShort(low)], " to ", ["scale-high", high, inShort(high)],
    "); 1,000 rows are worth ", ["worth", worth, whole(Math.round(worth))], ` of real data alone at generation ${at}. The ${SEEN[metric] ?? "loss"} at generation ${at} is foreseen at `,
    ["loss", loss, inShort(loss)], " (95 % band: ", ["loss-low", lossLow, inShort(lossLow)], " to ", ["loss-high", lossHigh, inShort(lossHigh)], ").",
  );
  const numbers_ = R * G;
  const doubts = [
    [numbers_ <= 12, `${times(R, "run")} of ${G} generations ${R === 1 ? "tells" : "tell"} little: the floor, κ / n and the number of directions in which the fit errs are all guessed from ${numbers_} numbers. That a workflow is compatible does not mean that it was used.`],
    [high > 4 * Math.max(low, 1e-300), `κ / n is known to no better than a factor of ${whole(Math.round(high / low))}.`],
    [metric === "accuracy", "An accuracy is no smooth loss: the fit that is best by likelihood need not be that of the least error, so that errors may rise in proportion to the fit's error and not to its square. Log a loss beside it."],
    [told.falls, "The last losses are below the first: one run may fall by chance under any workflow; if all do, training goes on from generation to generation."],
  ];
  for (const [doubtful, words] of doubts) if (doubtful) pieces.push(` Caution: ${words}`);
  return pieces;
}

// ---- the editor

const EDITORS = new WeakMap(); // of each explorer

KINDS.losses = (panel, id, { name, label, starts }, put) => {
  panel.classList.add("tables", "losses");
  const root = panel.closest(".collapse-explorer");
  const keeper = element(panel, "input", { type: "hidden", name });
  const bar = element(panel, "div", { class: "bar" });
  element(bar, "label", { for: `${id}-text` }, label);
  const pick = (words, options) => {
    const select = element(bar, "select", { "aria-label": words, ...OWN_KEYS });
    for (const [value, text] of options) element(select, "option", { value }, text);
    return select;
  };
  const start = pick("Begin with", [["", "as below"], ...starts.map(([words, text]) => [text, words])]);
  const metric = pick("What was logged", Object.keys(METRICS).map((one) => [one, one]));
  const typed = element(panel, "textarea", { id: `${id}-text`, rows: 3, spellcheck: false, autocomplete: "off", ...OWN_KEYS });
  const refused = element(panel, "p", { class: "refused", role: "alert" });
  const row = element(panel, "div", { class: "point" });
  const which = element(row, "select", { "aria-label": "The loss to move", ...OWN_KEYS });
  const step = (sign, words, way) => element(row, "button", { type: "button", class: "step", tabindex: -1, "aria-label": words }, sign).addEventListener("click", () => shift(way));
  step("−", "The loss: less", -1);
  const slider = element(row, "input", { type: "range", "aria-label": "The loss", ...OWN_KEYS });
  step("+", "The loss: more", 1);
  const more = element(panel, "details", { class: "python" });
  element(more, "summary", {}, "As Python");
  const code = element(more, "pre");
  const copy = element(more, "button", { type: "button" }, "Copy");
  copy.addEventListener("click", () => {
    const tell = (words) => (copy.textContent = words);
    navigator.clipboard.writeText(code.textContent).then(() => tell("Copied"), () => tell("Select it and copy"));
    setTimeout(tell, 4000, "Copy");
  });

  let draft; // what was typed
  let shown; // the line that is shown
  let point = [0, 0];
  let range; // of the slider

  const settle = () => {
    const wrong = wrongWith(draft.metric, draft.runs);
    refused.textContent = wrong ?? "";
    panel.classList.toggle("stale", Boolean(wrong));
    if (!wrong) put(joined(draft));
  };
  const write = () => {
    typed.value = draft.runs.map((run) => run.join(" ")).join("\n");
    typed.rows = Math.max(2, draft.runs.length);
  };
  const now = () => Number(draft.runs[point[0]][point[1]]);
  const mark = () => {
    for (const one of root.querySelectorAll("[data-point]")) one.classList.toggle("chosen", one.dataset.point === point.join(" "));
  };
  const choosePoint = (run, g) => {
    point = [run, g];
    fillPoint();
    mark();
  };
  const move = (value) => {
    if (refused.textContent) return;
    draft.runs[point[0]][point[1]] = String(value);
    write();
    settle();
    fillPoint();
  };
  const shift = (way) => move(Number(Math.max(range.from, Math.min(range.to, now() + way * range.step)).toPrecision(12)));
  const reach = () => {
    const { runs, metric: kind } = draft;
    const values = runs.flat().map(Number);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const step_ = 10 ** Math.floor(Math.log10((high - low) / 20));
    const [from, to] = [low - (high - low) / 2, high + (high - low) / 2].map((end) => Number((step_ * Math.round(end / step_)).toPrecision(12)));
    const [least, largest] = { perplexity: [step_, Infinity], accuracy: [0, 1] }[kind] ?? [-Infinity, Infinity];
    return { from: Math.max(from, least), to: Math.min(to, largest), step: step_ };
  };
  const fillPoint = () => {
    const [R, G] = [draft.runs.length, draft.runs[0].length];
    if (which.options.length !== R * G) {
      which.replaceChildren();
      for (let r = 0; r < R; r++) for (let g = 0; g < G; g++) element(which, "option", { value: `${r} ${g}` }, `generation ${g + 1}${R > 1 ? `, run ${r + 1}` : ""}`);
    }
    which.value = point.join(" ");
    fill(slider, { min: range.from, max: range.to, step: range.step });
    slider.value = now();
    slider.setAttribute("aria-valuetext", draft.runs[point[0]][point[1]]);
  };
  typed.addEventListener("input", () => {
    draft.runs = runsIn(typed.value);
    settle();
  });
  metric.addEventListener("change", () => {
    draft.metric = metric.value;
    settle();
  });
  start.addEventListener("change", () => start.value && put(start.value));
  which.addEventListener("change", () => choosePoint(...which.value.split(" ").map(Number)));
  slider.addEventListener("input", () => move(Number((range.step * Math.round(slider.valueAsNumber / range.step)).toPrecision(12))));
  slider.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!way) return;
    event.preventDefault();
    shift(way);
  });
  EDITORS.set(root, {
    point: () => point.join(" "),
    range: () => range,
    take: (run, g, value) => {
      if (point.join() !== [run, g].join()) choosePoint(run, g);
      if (value !== now()) move(value);
    },
    rule: (rule) => {
      const text = asPython(keeper.value, rule);
      if (code.textContent !== text) code.textContent = text;
    },
  });

  return (text, { rule }) => {
    keeper.value = text;
    if (shown !== text) {
      shown = text;
      const same = draft && !wrongWith(draft.metric, draft.runs) && joined(draft) === text;
      if (!same) {
        draft = split(text);
        write();
        refused.textContent = "";
        panel.classList.remove("stale");
        range = undefined;
      }
      metric.value = draft.metric;
      start.value = starts.find(([, known]) => known === text)?.[1] ?? "";
      if (point[0] >= draft.runs.length || point[1] >= draft.runs[0].length) point = [0, draft.runs[0].length - 1];
      const inside = range && draft.runs.flat().every((one) => Number(one) >= range.from && Number(one) <= range.to);
      if (!inside) range = reach();
      fillPoint();
    }
    EDITORS.get(root).rule(rule);
  };
};

// ---- the drawing

function drawLosses(svg, width, height, told, runs, metric, editor, hueOf) {
  const { G, at, band, table } = told;
  const { to } = METRICS[metric];
  const later = [told.loss, told.lossLow, told.lossHigh].map(to);
  const picture = svg.parentElement;
  // bands that go far beyond what was logged are cut
  const logged = [...runs.flat(), ...told.fitted.map(to)];
  const ends = [Math.min(...logged), Math.max(...logged)];
  const beyond = 2.5 * (ends[1] - ends[0]);
  const reach = [...band.flat().map(to), ...later, ...ends];
  let [from, end] = [Math.max(ends[0] - beyond, Math.min(...reach)), Math.min(ends[1] + beyond, Math.max(...reach))];
  // while a point is held the frame may grow and not shrink
  if (picture.holding && picture.reach) [from, end] = [Math.min(from, picture.reach[0]), Math.max(end, picture.reach[1])];
  picture.reach = [from, end];
  const room = 0.04 * (end - from);
  const slot = G + 1.5;
  const gap = (width - 80) / (G + 1.5);
  const every = Math.ceil(26 / gap);
  const marks = upTo(G).map((g) => g + 1).filter((g) => (g - 1) % every === 0 && (slot - g) * gap > 24);
  const step = 10 ** Math.floor(Math.log10((end - from) / 4));
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const say = (value) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const x = { from: 0.5, to: G + 2, title: "generation", at: [...marks, slot], say: (g) => (g > G ? whole(at) : whole(g)) };
  const frame = axes(svg, width, height, x, { from: from - room, to: end + room, title: metric, say }, { left: 56 });
  const y = (value) => frame.y(Math.max(from - room, Math.min(end + room, to(value))));
  const points = (values) => values.map((value, g) => [g + 1, to(value)]);
  const corner = (value, g) => `${frame.x(g + 1).toFixed(1)},${y(value).toFixed(1)}`;
  shape(svg, "polygon", { class: "band", points: [...band.map(([low], g) => corner(low, g)), ...band.map(([, high], g) => corner(high, g)).reverse()].join(" ") });
  for (const row of table.slice(1).filter(({ p }) => p > 0.05)) line(svg, frame, points(row.fitted).filter(([, v]) => v >= from && v <= end), { class: "thin", "data-family": hueOf(row.name) });
  line(svg, frame, points(told.fitted), { class: "curve" });
  shape(svg, "line", { class: "grid", x1: frame.x(G + 0.75), x2: frame.x(G + 0.75), y1: frame.top, y2: frame.bottom });
  shape(svg, "line", { class: "curve", x1: frame.x(slot), x2: frame.x(slot), y1: y(told.lossLow), y2: y(told.lossHigh) });
  for (const value of [told.lossLow, told.lossHigh]) shape(svg, "line", { class: "curve", x1: frame.x(slot) - 5, x2: frame.x(slot) + 5, y1: y(value), y2: y(value) });
  shape(svg, "circle", { class: "end", cx: frame.x(slot), cy: y(told.loss), r: 5 });
  const chosen = editor.point();
  const fine = Math.max(editor.range().step, 10 ** Math.floor(Math.log10((end - from) / 100)));
  const values = [];
  for (let v = Math.ceil((from - room) / fine); v * fine <= end + room; v++) values.push(Number((v * fine).toPrecision(12)));
  runs.forEach((run, r) => {
    if (runs.length > 1) line(svg, frame, run.map((value, g) => [g + 1, value]), { class: "limit between" });
    run.forEach((value, g) => {
      const here = [frame.x(g + 1), frame.y(value)];
      shape(svg, "circle", { class: "logged", cx: here[0], cy: here[1], r: 4 });
      grip(svg, {
        control: "losses", at: here, along: "y", place: (v) => [here[0], frame.y(v)],
        values: [value, ...values], take: (v) => editor.take(r, g, v),
      });
      const ring = svg.lastElementChild;
      fill(ring, { "data-point": `${r} ${g}` });
      ring.classList.add("point");
      ring.classList.toggle("chosen", chosen === `${r} ${g}`);
    });
  });
  reads(svg, frame, upTo(G + 1), (g) => {
    const bounds = g === G ? [told.lossLow, told.lossHigh] : band[g];
    const [low, high] = bounds.map(to).sort((a, b) => a - b).map((v) => plain(v, 4));
    const own = g === G ? `${plain(later[0], 4)} foreseen` : runs.length > 3 ? `${runs.length} runs` : runs.map((run) => plain(run[g], 4)).join(", ");
    return { x: frame.x(g === G ? slot : g + 1), text: `${g === G ? at : g + 1}: ${own}; band ${low} to ${high}`, dots: bounds.map((v) => [frame.x(g === G ? slot : g + 1), y(v)]) };
  });
  describe(svg, `The ${metric} against generation, ${times(runs.length, "run")}; the course of ${called(told.rule)} as it fits best, with the band of single runs; at generation ${at} ${plain(later[0], 4)} is foreseen.`);
}

// Each workflow with its p-value as a bar; to press a row is to ask for that workflow.
function drawTable(svg, width, height, { table, rule }, hueOf, choices) {
  shape(svg, "text", { class: "title", x: 4, y: 14 }, "p-value; the mark: 5 %");
  const [top, left, right] = [34, 4, width - 4];
  const deep = (height - top - 6) / table.length;
  const wide = right - left;
  const limit = left + 0.05 * wide;
  const at = (i) => top + i * deep;
  table.forEach(({ name, p }, i) => {
    const [middle, fits] = [at(i) + 0.72 * deep, p > 0.05];
    shape(svg, "text", { ...(fits ? { class: "name", "data-family": hueOf(name) } : { class: "tick" }), x: left, y: at(i) + 0.5 * deep }, `${name === rule ? "▸ " : ""}${called(name)}`);
    shape(svg, "text", { class: "tick", x: right, y: at(i) + 0.5 * deep, "text-anchor": "end" }, general(p, 2));
    shape(svg, "line", { class: "grid", x1: left, x2: right, y1: middle, y2: middle });
    shape(svg, "rect", { ...(fits ? { class: "area", "data-family": hueOf(name) } : { class: "draws" }), x: left, width: Math.max(1, wide * p), y: middle - 3, height: 6 });
    shape(svg, "line", { class: "mark", x1: limit, x2: limit, y1: middle - 7, y2: middle + 7 });
  });
  const can = table.filter(({ name }) => choices.includes(name));
  const place = (name) => [right, at(table.findIndex((row) => row.name === name)) + 0.5 * deep];
  GRIPS.set(svg, [{ control: "rule", at: place(rule), place, along: "y", values: can.map(({ name }) => name), line: true }]);
  describe(svg, `p-values: ${table.map(({ name, p }) => `${called(name)} ${general(p, 2)}`).join(", ")}.`);
}

const once = remember(audited);

export default explorer(({ state: { losses: text, rule }, data: { workflows, against, suspects, choices }, picture, width }) => {
  const { metric, runs: typed } = split(text);
  const runs = typed.map((run) => run.map(Number));
  const losses = runs.map((run) => run.map(METRICS[metric].of));
  const told = once({ losses, rule, workflows, against });
  const editor = EDITORS.get(picture.parentElement);
  const hueOf = (name) => familyOf(workflows[name][0]);
  const height = 290;
  const [[left, leftWidth]] = width < 560 ? panels(picture, width, [1], 250) : [[]];
  const beside = width < 560 ? [] : panels(picture, width, [3, 2], height);
  const [one, oneWidth] = left ? [left, leftWidth] : beside[0];
  const [two, twoWidth] = left ? panels(picture, width, [1], height)[0] : beside[1];
  drawLosses(one, oneWidth, left ? 250 : height, told, runs, metric, editor, hueOf);
  drawTable(two, twoWidth, height, told, hueOf, choices);
  return {
    family: hueOf(rule),
    meaning: `Points: what was logged; drag them, or type. Line and band: ${called(rule)} as it fits best, and the middle 95\u00a0% of single runs; thin: what else is compatible. Bar: what is foreseen. p is simulated, with ${DRAWS} sets of losses for each law; collapse.audit takes 400, so that near 5\u00a0% they differ by about 0.02.`,
    summary: said(told, metric, suspects),
  };
});
