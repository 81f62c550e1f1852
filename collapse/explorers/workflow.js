// The workflow explorer: the risk curve of any named workflow, where its last risk comes from, and what it means in words.

const COLUMNS = 100;

// Neighbours added up, so that no more columns stand side by side than can be seen.
function gathered(parts) {
  const each = Math.ceil(parts.real.length / COLUMNS);
  const sums = (part) => Array.from({ length: Math.ceil(part.length / each) }, (_, i) => part.subarray(i * each, (i + 1) * each).reduce((a, b) => a + b, 0));
  return { each, real: sums(parts.real), synthetic: sums(parts.synthetic), draws: sums(parts.draws) };
}

// One column for each generation, or for a few: real data, synthetic batches, and draws of rows on top.
function drawOrigins(svg, width, height, parts) {
  const { each, real, synthetic, draws } = gathered(parts);
  const total = real.map((value, g) => value + synthetic[g] + draws[g]);
  const highest = total.reduce((a, b) => Math.max(a, b));
  const G = total.length;
  const x = { from: 0.5, to: G * each + 0.5, title: each === 1 ? "batch of generation" : `batches of ${each} generations`, at: ticks(1, G * each, width < 300 ? 3 : 5) };
  const title = each === 1 ? "its part of the ratio" : "their part of the ratio";
  const y = { from: 0, to: [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((top) => top >= highest * 0.999) ?? highest, title, say: (v) => plain(v, 3), most: 4 };
  const frame = axes(svg, width, height, x, y, { left: y.to >= 1000 ? 50 : 40 });
  const wide = (frame.right - frame.left) / G;
  total.forEach((_, g) => {
    let from = 0;
    for (const [part, kind, family] of [[real[g], "area", "real"], [synthetic[g], "area"], [draws[g], "draws"]]) {
      const top = frame.y(from + part);
      const box = { class: kind, x: frame.left + g * wide + Math.min(0.5, wide / 8), width: wide * Math.max(0.75, 1 - 1 / wide), y: top, height: frame.y(from) - top };
      if (part > 0) shape(svg, "rect", family ? { ...box, "data-family": family } : box);
      from += part;
    }
  });
  const born = (g) => (each === 1 ? `generation ${g + 1}` : `generations ${g * each + 1} to ${Math.min((g + 1) * each, parts.real.length)}`);
  reads(svg, frame, total.keys(), (g) => ({
    x: frame.left + (g + 0.5) * wide,
    text: `${born(g)}: ${plain(total[g], 3)}`,
    dots: [],
  }));
  const sum = (part) => part.reduce((a, b) => a + b);
  const shares = [[sum(real), "real data"], [sum(synthetic), "synthetic batches"], [sum(draws), "draws of rows"]];
  const all = sum(total);
  const said = shares.filter(([part]) => part > 0).map(([part, what]) => `${percent(Number((part / all).toFixed(2)))} ${what}`);
  describe(svg, `Where the ratio of the last generation comes from, by generation of the batch: ${said.join(", ")}.`);
  return said;
}

export default explorer(({ state, parameters, picture, width }) => {
  const { workflow: name, generations } = state;
  const { plan, values } = follow(name, generations, parameters);
  const last = values[generations - 1];
  const first = reference(plan);
  const height = heightFor(width);
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [3, 2], height);
  drawRatio(left, leftWidth, height, name, values, "generations");
  const said = drawOrigins(right, rightWidth, height, origins(plan, generations));
  return {
    family: familyOf(name),
    meaning: meaningOf(name, parameters),
    summary: [
      `After ${times(generations, "generation")} of ${called(name)} `,
      "your 1,000 rows are worth ",
      ["worth", 1000 / (first * last), rowsWorth(first * last)],
      // where the first fit reads the real data through draws, ratios are not to the real data
      ": the excess risk is ",
      ["ratio", last, plain(last, 6)],
      ` times that of ${plan.replace ? "the first fit" : "the real data alone"}, ${said.join(", ")}; ${verdict(fate(name, parameters), first)}.`,
    ],
  };
}, { plays: "generations" });
