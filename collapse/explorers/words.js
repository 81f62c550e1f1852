// Words: one vocabulary under discard, a window and augment, with the same uniform variates; a word without a row is lost for ever.

const GENERATIONS = 50;
const READ = { discard: () => 1, window: (k) => k, augment: () => GENERATIONS };

// Counts of words in what each fit reads: the latest `read` batches, each drawn from the fit before.
export function course({ share, rows, read, seed }) {
  const { uniform } = randomState(seed);
  const batches = [];
  const pooled = [];
  const fits = [];
  let weight = share;
  for (let g = 0; g < GENERATIONS; g++) {
    const edges = [];
    weight.reduce((sum, value) => edges[edges.push(sum + value) - 1], 0);
    const total = g === 0 ? 1 : edges.at(-1);
    const batch = new Int32Array(share.length);
    for (let i = 0; i < rows; i++) {
      const at = uniform() * total;
      const word = edges.findIndex((edge) => edge > at);
      batch[word < 0 ? share.length - 1 : word] += 1;
    }
    batches.push(batch);
    weight = Array.from(batch, (_, j) => batches.slice(-read).reduce((sum, counts) => sum + counts[j], 0));
    fits.push(weight);
  }
  return fits;
}

// Real rows that hold no more words than a fit that reads the latest `read` batches, of n rows, is left with in the mean. A row of batch
// b has Poisson(1 / batches read) successors in each later batch whose source reads b; `lives`: its line reaches the fit.
export function rowsForWords(n, read, generation) {
  const lives = new Float64Array(generation);
  for (let b = generation - 1; b >= 0; b--) {
    let successors = 0;
    for (let f = b + 1; f <= b + read && f < generation; f++) successors += lives[f] / Math.min(f, read);
    lives[b] = b >= generation - read ? 1 : -Math.expm1(-successors);
  }
  return n * lives[0];
}

const wordsIn = (share, rows) => share.reduce((sum, p) => sum - Math.expm1(-rows * p), 0);
const left = (fit) => fit.filter((count) => count > 0).length;

// A wall of words in their order, the most frequent first: those left in the workflow's hue, those lost struck out.
function drawWall(svg, width, name, words, fits, generation, columns) {
  const now = fits[generation - 1];
  shape(svg, "text", { class: "name", "data-family": name, x: 2, y: 15 }, `${name}: ${left(now)} of ${words.length}`);
  words.forEach((word, i) => {
    const at = { x: ((i % columns) + 0.5) * (width / columns), y: 38 + 18 * Math.floor(i / columns), "text-anchor": "middle", "font-size": 12 };
    const look = now[i] > 0 ? { class: "name", "data-family": name } : { class: "tick", opacity: 0.6, style: "stroke: none", ...(fits[0][i] > 0 ? { "text-decoration": "line-through" } : {}) };
    shape(svg, "text", { ...at, ...look }, word);
  });
  describe(svg, `Under ${name} ${left(now)} of ${words.length} words are left in generation ${generation}: ${words.filter((_, i) => now[i] > 0).join(", ")}.`);
}

function drawLeft(svg, width, height, means, runs, count, generation) {
  const frame = axes(svg, width, height, { from: 1, to: GENERATIONS, title: "generation" }, { from: 0, to: count, title: "words left" }, { right: 74 });
  shape(svg, "line", { class: "axis", x1: frame.x(generation), x2: frame.x(generation), y1: frame.top, y2: frame.bottom });
  for (const name in means) {
    line(svg, frame, means[name].map((value, i) => [i + 1, value]), { "data-family": name, ...(name === "window" ? { class: "curve beside" } : {}) });
    for (let g = 5; g <= GENERATIONS; g += 5) dot(svg, frame, g, left(runs[name][g - 1]), { "data-family": name, r: 3 });
    dot(svg, frame, generation, left(runs[name][generation - 1]), { "data-family": name, r: 6 });
  }
  grip(svg, {
    control: "generation", at: [frame.x(generation), frame.y(means.discard[generation - 1])],
    place: (g) => [frame.x(g), 0], line: true,
  });
  // names at the ends of the curves, no two on one another
  let last = -Infinity;
  for (const name of Object.keys(means).sort((a, b) => means[b].at(-1) - means[a].at(-1))) {
    last = Math.max(last + 16, frame.y(means[name].at(-1)) + 4);
    shape(svg, "text", { class: "name", "data-family": name, x: frame.right + 9, y: last }, name);
  }
  const ends = Object.entries(means).map(([name, values]) => `${name} ${plain(values.at(-1), 3)}`);
  describe(svg, `Words left against generation; at generation ${GENERATIONS}, in the mean: ${ends.join(", ")} (of the window at least so many). Dots: this run.`);
}

const drawn = remember(({ share, rows, seed, k }) => Object.fromEntries(Object.entries(READ).map(([name, read]) => [name, course({ share, rows, read: read(k), seed })])));

export default explorer(({ state: { generation, k, seed }, data: { words, share, rows, discard }, picture, width }) => {
  const runs = drawn({ share, rows, seed, k });
  const kept = share.reduce((sum, p) => sum - Math.expm1(rows * Math.log1p(-p)), 0);
  const least = Array.from({ length: GENERATIONS }, (_, g) => wordsIn(share, rowsForWords(rows, k, g + 1)));
  const means = { discard, window: least, augment: discard.map(() => kept) };

  const wide = width >= 560;
  const columns = wide ? 4 : 6;
  const height = 30 + 18 * Math.ceil(words.length / columns);
  panels(picture, width, [1, 1, 1], height).forEach(([svg, across], i) => {
    const name = Object.keys(READ)[i];
    drawWall(svg, across, name, words, runs[name], generation, columns);
  });
  const [[below]] = panels(picture, width, [1], 210);
  drawLeft(below, width, 210, means, runs, words.length, generation);

  const own = (name) => [`own-${name}`, left(runs[name][generation - 1]), whole(left(runs[name][generation - 1]))];
  const alike = rowsForWords(rows, 1, generation);
  return {
    family: "real",
    meaning: `${words.length} words, the k-th in proportion to 1/k; ${rows} of them in each batch, drawn from the fit before. A word that has no row in what a fit reads is never drawn again.`,
    summary: [
      `In generation ${generation} discard has `, own("discard"), " words left (", ["expected", discard[generation - 1], plain(discard[generation - 1], 3)],
      " in the mean, about as many as ", ["alike", alike, plain(alike, 3)], ` real rows hold), a window of ${k} batches `, own("window"),
      " (in the mean at least ", ["least", least[generation - 1], plain(least[generation - 1], 3)], "). Augment has ", own("augment"),
      " (", ["kept", kept, plain(kept, 3)], " in the mean), and will have them for ever: what its first fit has seen it never loses.",
    ],
  };
}, { plays: "generation" });
