// Dial: how much of the weight the real data must keep, the rest being on the latest synthetic batch.

const SHOWN = 40; // generations
const HIGHEST_LIMIT = 12;

// The share above which the limit lies below augment's, the batches being as large.
const thresholdAt = (size) => shareAt(size * (fate("augment", { size }).limit - 1));

// First generation at which 95 % of the extra risk is there.
const waitAt = (share) => (share === 0 ? Infinity : share === 1 ? 1 : 1 + Math.ceil(Math.log(20) / (-2 * Math.log(1 - share))));

const at = (size) => (share) => [share, Math.min(limitAt(share, size), 2 * HIGHEST_LIMIT)];

// Ratio of the anchored chain, generation by generation: the distance from the real data's estimate forgets the share at every step.
function anchored(share, size) {
  let far = 0;
  return Float64Array.from({ length: SHOWN }, (_, g) => 1 + (far = g === 0 ? 0 : (1 - share) ** 2 * (far + 1 / size)));
}

function drawLimit(svg, width, height, { share, size }, augment) {
  const threshold = thresholdAt(size);
  const y = { from: 0.9, to: HIGHEST_LIMIT, log: true, at: [1, 2, 3, 5, 10], title: "limit of the risk ratio", say: short };
  const frame = axes(svg, width, height, { from: 0, to: 1, title: "weight on the real data", say: percent, most: 5 }, y, { right: 24 });
  const label = labels(svg, frame);
  const reached = Array.from({ length: 200 }, (_, i) => at(size)((i + 1) / 200)).filter(([, limit]) => limit <= HIGHEST_LIMIT);
  const nameLevel = markLevel(svg, frame, label, augment, `augment ${plain(augment, 4)}`);
  line(svg, frame, reached);
  label.avoid(reached);
  line(svg, frame, [[threshold, y.from], [threshold, y.to]], { class: "limit" });
  label.write(percent(threshold), [["start", frame.x(threshold) + 5, frame.top + 12], ["end", frame.x(threshold) - 5, frame.top + 12]]);
  const [, limit] = at(size)(share);
  if (limit <= HIGHEST_LIMIT) dot(svg, frame, share, limit);
  else shape(svg, "path", { class: "end", d: `M${frame.x(share)},${frame.top - 6}l6,11h-12z` });
  const place = (value) => [frame.x(value), frame.y(Math.min(at(size)(value)[1], HIGHEST_LIMIT))];
  grip(svg, { control: "share", at: place(share), place });
  label.cover(...place(share), 14);
  const shares = Array.from({ length: 100 }, (_, i) => (i + 1) / 100);
  reads(svg, frame, shares, (value) => ({
    x: frame.x(value),
    text: `${percent(value)} real: levels off at ${plain(limitAt(value, size), 4)}`,
    dots: [[frame.x(value), frame.y(limitAt(value, size))]],
  }));
  nameLevel();
  describe(svg, `Limit of the risk ratio against the weight on the real data: it falls to 1, and below augment's ${plain(augment, 4)} at ${percent(threshold)}.`);
}

function drawCourse(svg, width, height, values, augment, { share, size }) {
  const highest = Math.max(values[SHOWN - 1], augment[SHOWN - 1]);
  const to = steady(svg, "ratio", HIGHEST_RATIOS.find((value) => value >= 1.05 * highest));
  const frame = axes(svg, width, height, { from: 1, to: SHOWN, title: "generation", most: 4 }, { from: 1, to, title: "risk ratio" });
  const label = labels(svg, frame);
  const curves = [[augment, "augment", { class: "curve beside", "data-family": "augment" }], [values, "your policy", {}]];
  const ends = curves.map(([course, name, attributes]) => {
    const points = Array.from(course, (value, i) => [i + 1, value]);
    line(svg, frame, points, attributes);
    label.avoid(points);
    dot(svg, frame, SHOWN, course[SHOWN - 1], attributes["data-family"] && { "data-family": attributes["data-family"], r: 3 });
    const up = course[SHOWN - 1] === highest;
    const y = frame.y(course[SHOWN - 1]);
    return () => label.write(name, (up ? [-6, -12, -20, 18] : [18, 24, 32, -6]).map((shift) => ["end", frame.right - 16, y + shift]), { class: "name" });
  });
  const place = (value) => [frame.right, frame.y(anchored(value, size)[SHOWN - 1])];
  grip(svg, { control: "share", at: place(share), place, along: "y" });
  label.cover(...place(share), 14);
  reads(svg, frame, values.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: ${plain(values[i], 4)}, augment ${plain(augment[i], 4)}`,
    dots: [[frame.x(i + 1), frame.y(values[i])], [frame.x(i + 1), frame.y(augment[i]), "augment"]],
  }));
  ends.forEach((write) => write());
  describe(svg, `Risk ratio against generation: ${plain(values[SHOWN - 1], 4)} at generation ${SHOWN}, under augment ${plain(augment[SHOWN - 1], 4)}.`);
}

export default explorer(({ state, picture, width }) => {
  const { share, size } = state;
  const limit = limitAt(share, size);
  const wait = waitAt(share);
  const augment = fate("augment", { size }).limit;
  const threshold = thresholdAt(size);
  const values = anchored(share, size);

  const height = heightFor(width);
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [1, 1], height);
  drawLimit(left, leftWidth, height, state, augment);
  drawCourse(right, rightWidth, height, values, curve(workflow("augment", SHOWN, { size })), state);

  const stored = ["stored", 1 + size, plain(1 + size, 3)];
  const beats = share > threshold ? "more than" : "less than";
  const course =
    share === 0
      ? ["No weight on the real data: for many rows the ratio grows without end, by ", ["growth", 1 / size, plain(1 / size, 3)], " a generation: collapse. Move the dial a little"]
      : [
          `With ${percent(share)} of the weight on the real data the risk ratio, for many rows, levels off at `,
          ["limit", limit, plain(limit, 4)],
          ", where your 1,000 rows are worth ",
          ["worth", 1000 / limit, rowsWorth(limit)],
          share === 1 ? "; it is there at once" : "; 95 % of the extra risk is there by generation ",
          ...(share === 1 ? [] : [["wait", wait, whole(wait)]]),
        ];
  return {
    family: "fixed real share",
    meaning: `Each generation gives ${percent(share)} of the weight to the real data and the rest to the latest synthetic batch, ${size === 1 ? "as large" : `${plain(size, 3)} times as large`}.`,
    summary: [
      ...course,
      `. You store `,
      stored,
      ` times your real rows, augment ${plain(1 + (SHOWN - 1) * size, 3)} times by generation ${SHOWN}. In the long run, and for many rows, augment is beaten above `,
      ["threshold", threshold, percent(threshold)],
      ` of the weight: yours is ${beats} that.`,
    ],
  };
}, { plays: "share" });
