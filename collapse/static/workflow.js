// The workflow explorer: the risk curve of any named workflow, where its last risk comes from, and what it means in words.

// The axes end at round numbers, so that a curve moves in its frame and not the frame with the curve.
const LAST_GENERATIONS = [10, 20, 50, 100];
const HIGHEST_RATIOS = [1, 10, 100, 1000].flatMap((power) => [1.8, 2.5, 4, 6, 10].map((top) => top * power));
const HEIGHT = 270;

function drawCurve(svg, width, name, values) {
  const G = values.length;
  const last = values[G - 1];
  const [lowest, highest] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const x = { from: 1, to: LAST_GENERATIONS.find((value) => value >= G), title: "generation" };
  const y = { from: lowest < 0.999 ? 0 : 1, to: HIGHEST_RATIOS.find((value) => value >= 1.05 * highest), title: "risk ratio" };
  const frame = axes(svg, width, HEIGHT, x, y);
  const points = Array.from(values, (value, i) => [i + 1, value]);
  const label = labels(svg, frame);
  const nameLevel = markLevel(svg, frame, label, BASEL, "π²/6 = 1.6449");
  line(svg, frame, points);
  label.avoid(points);
  dot(svg, frame, G, last);

  // the name stays on the curve's side of the line, else it would seem to name the line
  const below = last < BASEL;
  const [px, py] = [frame.x(G), frame.y(last)];
  const shifts = below ? [20, 28, 36, 52, -10, -18, -26, -42] : [-10, -18, -26, -42, 20, 28, 36, 52];
  const beside = (below ? [4, 16, 24] : [4, -8, -16]).map((shift) => ["start", px + 10, py + shift]);
  label.write(`${called(name)} ${plain(last, 4)}`, [...beside, ...shifts.map((shift) => ["end", px, py + shift])], { class: "name" });
  nameLevel();
  describe(svg, `Risk ratio against generation under ${called(name)}: from 1 to ${plain(last, 6)} at generation ${G}, with a line at π²/6.`);
}

// One column for each generation: real data, synthetic batches, and draws of rows on top.
function drawOrigins(svg, width, { real, synthetic, draws }) {
  const total = real.map((value, g) => value + synthetic[g] + draws[g]);
  const highest = total.reduce((a, b) => Math.max(a, b));
  const G = total.length;
  const x = { from: 0.5, to: G + 0.5, title: "batch of generation", at: ticks(1, G, width < 300 ? 3 : 5) };
  const y = { from: 0, to: [0.1, 0.2, 0.5, 1, 2, 5].find((top) => top >= highest * 0.999) ?? highest, title: "its part of the ratio", say: (v) => plain(v, 3), most: 4 };
  const frame = axes(svg, width, HEIGHT, x, y, { left: 40 });
  const wide = (frame.right - frame.left) / G;
  total.forEach((_, g) => {
    let from = 0;
    for (const [part, kind, family] of [[real[g], "area", "real"], [synthetic[g], "area"], [draws[g], "draws"]]) {
      const top = frame.y(from + part);
      const box = { class: kind, x: frame.x(g + 0.5) + Math.min(0.5, wide / 8), width: wide * Math.max(0.75, 1 - 1 / wide), y: top, height: frame.y(from) - top };
      if (part > 0) shape(svg, "rect", family ? { ...box, "data-family": family } : box);
      from += part;
    }
  });
  const sum = (part) => part.reduce((a, b) => a + b);
  const shares = [[sum(real), "real data"], [sum(synthetic), "synthetic batches"], [sum(draws), "draws of rows"]];
  const all = sum(total);
  const said = shares.filter(([part]) => part > 0).map(([part, what]) => `${percent(Number((part / all).toFixed(2)))} ${what}`);
  describe(svg, `Where the ratio of the last generation comes from, by generation of the batch: ${said.join(", ")}.`);
  return said;
}

export default explorer(({ state, parameters, picture, width }) => {
  const { workflow: name, generations } = state;
  const plan = workflow(name, generations, parameters);
  const values = curve(plan);
  const last = values[generations - 1];
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [3, 2], HEIGHT);
  drawCurve(left, leftWidth, name, values);
  const said = drawOrigins(right, rightWidth, origins(plan, generations));
  return {
    family: familyOf(name),
    meaning: meaningOf(name, parameters),
    summary: [
      `After ${times(generations, "generation")} of ${called(name)} your 1,000 rows are worth `,
      ["worth", 1000 / last, rowsWorth(last)],
      ": the excess risk is ",
      ["ratio", last, plain(last, 6)],
      ` times that of the real data alone, ${said.join(", ")}; ${verdict(fate(name, parameters))}.`,
    ],
  };
});
