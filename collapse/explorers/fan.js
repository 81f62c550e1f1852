// The fan: least-squares lines, refitted generation after generation on the same points with the same noise, discard beside augment.

// Lines and what they cost. Labels drawn from a fitted line at the same x move the next fit by Z, normal with covariance
// sigma^2 (X'X)^-1 exactly; augment, whose fit is the mean of all batches' fits, by Z / g.
export function fan({ x, y, sigma, lines, generations, seed }) {
  const n = x.length;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / n;
  const centre = mean(x);
  const width = Math.hypot(...x.map((value) => value - centre));
  const slope = x.reduce((sum, value, i) => sum + (value - centre) * y[i], 0) / width ** 2;
  const real = [mean(y) - slope * centre, slope];

  const paths = { discard: [], augment: [] };
  const excess = { discard: new Float64Array(generations), augment: new Float64Array(generations) };
  const { normal } = randomState(seed);
  for (let line = 0; line < lines; line++) {
    // errors at the centre of the points and in the slope, in units of their standard deviations
    const error = { discard: [0, 0], augment: [0, 0] };
    for (const name in paths) paths[name].push([real]);
    for (let g = 2; g <= generations; g++) {
      const z = [normal(), normal()];
      for (const name in paths) {
        const step = name === "augment" ? 1 / g : 1;
        const u = error[name].map((value, i) => value + step * z[i]);
        error[name] = u;
        const tilt = (sigma * u[1]) / width;
        paths[name][line].push([real[0] + (sigma * u[0]) / Math.sqrt(n) - tilt * centre, real[1] + tilt]);
        excess[name][g - 1] += (u[0] ** 2 + u[1] ** 2) / (2 * lines);
      }
    }
  }
  // what the lines themselves say of the ratio: 1 for the real data's own error, which they share, and their mean square about it
  for (const name in paths) excess[name] = excess[name].map((value) => 1 + value);
  return { real, paths, simulated: excess };
}

const CAPITAL = { discard: "Discard", augment: "Augment" };

// One panel: the real points and the lines of one generation. The panel shows six standard deviations up and down, and cuts the rest.
function drawLines(svg, width, height, name, { x, y, sigma }, lines) {
  const middle = y.reduce((sum, value) => sum + value, 0) / y.length;
  const [first, last] = [Math.min(...x), Math.max(...x)];
  const pad = 0.05 * (last - first);
  const ends = [first - pad, last + pad];
  const frame = axes(
    svg, width, height,
    { from: ends[0], to: ends[1], most: 3, say: signed },
    { from: middle - 6 * sigma, to: middle + 6 * sigma, most: 3, say: signed },
    { left: 28, right: 2, top: 26, bottom: 24 },
  );
  shape(svg, "text", { class: "name", "data-family": name, x: frame.left, y: 16 }, CAPITAL[name]);
  const [wide, tall] = [frame.right - frame.left, frame.bottom - frame.top];
  const inside = shape(svg, "svg", { x: frame.left, y: frame.top, width: wide, height: tall, viewBox: `${frame.left} ${frame.top} ${wide} ${tall}` });
  for (const [at, slope] of lines) line(inside, frame, ends.map((value) => [value, at + slope * value]), { class: "thin", "data-family": name });
  x.forEach((value, i) => dot(inside, frame, value, y[i], { "data-family": "real", r: 3.5 }));
  describe(svg, `${x.length} real points and ${lines.length} lines fitted under ${name}.`);
}

function drawRisk(svg, width, height, ratios, simulated, generation) {
  const generations = ratios.discard.length;
  const frame = axes(
    svg, width, height,
    { from: 1, to: generations, title: "generation" },
    { from: 0.85, to: 1.25 * generations, log: true, at: [1, 2, 5, 10, 20, 50].filter((ratio) => ratio <= generations), title: "risk ratio" },
    { left: 28, right: 84 },
  );
  const label = labels(svg, frame);
  const nameLevel = markLevel(svg, frame, label, BASEL, "π²/6");
  shape(svg, "line", { class: "axis", x1: frame.x(generation), x2: frame.x(generation), y1: frame.top, y2: frame.bottom });
  for (const name in ratios) {
    const points = Array.from(ratios[name], (ratio, i) => [i + 1, ratio]);
    line(svg, frame, points, { "data-family": name });
    label.avoid(points);
    for (let g = 5; g <= generations; g += 5) dot(svg, frame, g, simulated[name][g - 1], { "data-family": name, r: 3 });
    dot(svg, frame, generation, ratios[name][generation - 1], { "data-family": name, r: 6 });
    grip(svg, { control: "generation", at: [frame.x(generation), frame.y(ratios[name][generation - 1])], place: (g) => [frame.x(g), 0], line: true, hue: name });
    const last = frame.y(ratios[name][generations - 1]);
    shape(svg, "text", { class: "name", "data-family": name, x: frame.right + 19, y: last + (name === "augment" ? 12 : 4) }, name);
  }
  reads(svg, frame, ratios.discard.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: discard ${plain(ratios.discard[i], 4)}, augment ${plain(ratios.augment[i], 4)}`,
    dots: Object.keys(ratios).map((name) => [frame.x(i + 1), frame.y(ratios[name][i]), name]),
  }));
  nameLevel();
  describe(svg, `Risk ratio against generation, on a logarithmic scale: discard rises to ${generations}, augment stays under a line at π²/6. Dots: the lines' own.`);
}

const refitted = remember(fan);
const ratiosUpTo = remember((generations) =>
  Object.fromEntries(["discard", "augment"].map((name) => [name, curve(workflow(name, generations, { size: 1 }))])),
);

export default explorer(({ state: { generation, seed }, data, picture, width }) => {
  const { paths, simulated } = refitted({ ...data, seed });
  const ratios = ratiosUpTo(data.generations);
  const half = Math.floor((width - 24) / 2);
  const height = Math.round(Math.min(250, Math.max(170, 0.8 * half)));
  for (const name in paths) {
    const svg = shape(picture, "svg", { role: "img", viewBox: `0 0 ${half} ${height + 12}`, width: half, height: height + 12 });
    drawLines(svg, half, height, name, data, paths[name].map((path) => path[generation - 1]));
  }
  const [[below]] = panels(picture, width, [1], 230);
  drawRisk(below, width, 230, ratios, simulated, generation);

  const [wide, tight] = [ratios.discard[generation - 1], ratios.augment[generation - 1]];
  const own = (name) => [`own-${name}`, simulated[name][generation - 1], plain(simulated[name][generation - 1], 3)];
  const early = generation > 10 ? `, ${percent(Number(paid(ratios.augment[9], BASEL).toFixed(2)))} by generation 10` : "";
  return {
    family: "real",
    meaning: `The same ${data.x.length} real points and the same noise on both sides; only what is kept differs. Each of ${data.lines} lines is fitted to points that the line before it made.`,
    summary: [
      `In generation ${generation} discard's excess risk is `, ["discard", wide, plain(wide, 4)],
      " times that of the real data alone (the lines drawn say ", own("discard"), `), and your 1,000 rows are worth ${rowsWorth(wide)}. Augment's is `,
      ["augment", tight, plain(tight, 4)], " times (the lines: ", own("augment"), `), and they are worth ${rowsWorth(tight)}. Of all that augment will ever pay, π²/6 − 1, it has paid `,
      ["paid", paid(tight, BASEL), percent(Number(paid(tight, BASEL).toFixed(2)))], `${early}.`,
    ],
  };
}, { plays: "generation" });
