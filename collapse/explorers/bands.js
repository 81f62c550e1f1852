// Bands: what chains of a logistic regression on a real table came to, by workflow and generation, and how many still had an estimate.

// A number that a page cannot hold is infinite: there was no estimate.
const all = (values) => values.map((value) => value ?? Infinity);

function drawBand(svg, width, height, { low, middle, high, law }, others, generation) {
  const finite = (values) => values.slice(1).filter((value) => Number.isFinite(value) && value > 0);
  const every = others.flatMap((one) => [...finite(all(one.low)), ...finite(all(one.high))]);
  const from = 10 ** Math.floor(Math.log10(Math.max(Math.min(...every), 1e-6)));
  const to = 10 ** Math.ceil(Math.log10(Math.min(Math.max(...every), 10)));
  const G = middle.length;
  const say = (value) => (value >= 1e-3 ? plain(value, 1) : `10${[...String(Math.round(Math.log10(value)))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("")}`);
  const frame = axes(svg, width, height, { from: 1, to: G, title: "generation", most: width < 400 ? 5 : 10 }, { from, to, log: true, title: "excess risk, nats", say }, { left: 52 });
  const held = (value) => Math.max(from, Math.min(to, value));
  const points = (values) => values.map((value, i) => [i + 1, value]).slice(1);
  const at = ([g, value]) => `${frame.x(g).toFixed(1)},${frame.y(held(value)).toFixed(1)}`;
  shape(svg, "polygon", { class: "band", points: [...points(low), ...points(high).reverse()].map(at).join(" ") });
  line(svg, frame, points(law).filter(([, value]) => value >= from && value <= to), { class: "law" });
  line(svg, frame, points(middle).filter(([, value]) => value >= from && value <= to), { class: "curve" });
  const place = (g) => [frame.x(g), frame.y(held(middle[g - 1]))];
  grip(svg, { control: "generation", at: place(generation), place });
  const told = (value) => (Number.isFinite(value) ? plain(value, 3) : "no estimate");
  reads(svg, frame, middle.slice(1).keys(), (i) => ({
    x: frame.x(i + 2),
    text: `generation ${i + 2}: ${told(low[i + 1])} to ${told(high[i + 1])}`,
    dots: [low, middle, high].map((values) => [frame.x(i + 2), frame.y(held(values[i + 1]))]),
  }));
}

function drawAlive(svg, width, height, alive, generation) {
  const frame = axes(svg, width, height, { from: 1, to: alive.length, title: "generation", most: 4 }, { from: 0, to: 1, title: "chains with an estimate", say: percent, most: 4 }, { left: 50 });
  line(svg, frame, alive.map((value, i) => [i + 1, value]), { class: "curve alive" });
  const place = (g) => [frame.x(g), frame.y(alive[g - 1])];
  grip(svg, { control: "generation", at: place(generation), place });
  reads(svg, frame, alive.keys(), (i) => ({ x: frame.x(i + 1), text: `generation ${i + 1}: ${percent(alive[i])}`, dots: [place(i + 1)] }));
  describe(svg, `Share of chains that have an estimate, against generation: ${percent(alive.at(-1))} at the last.`);
}

export default explorer(({ state: { table, rule, generation: wanted }, data: { bands, chains }, picture, width }) => {
  const one = bands[table][rule];
  const [low, middle, high, law] = [one.low, one.middle, one.high, one.law].map(all);
  const generation = Math.min(wanted, middle.length);
  const height = heightFor(width);
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [3, 2], height);
  drawBand(left, leftWidth, height, { low, middle, high, law }, Object.values(bands[table]), generation);
  drawAlive(right, rightWidth, height, one.alive, generation);
  const at = generation - 1;
  const nats = (name, values) => [name, values[at], Number.isFinite(values[at]) ? plain(values[at], 3) : "∞"];
  describe(left, `Excess risk against generation under ${rule} on ${table}: median ${nats("", middle)[2]} at generation ${generation}, the law says ${nats("", law)[2]}.`);
  return {
    family: familyOf(rule.replaceAll(" ", "_")),
    meaning: chains
      ? `Line: median of ${whole(chains)} simulated chains on ${table}. Band: the middle nine tenths of them; a chain without an estimate counts as infinite. Dashed: the median that is derived.`
      : `Line and band: median and the middle nine tenths of the excess risk on ${table}, as derived for many rows.`,
    summary: [
      `At generation ${generation} of ${rule} on ${table} `, ["alive", one.alive[at], percent(one.alive[at])], " of the chains have an estimate. The excess risk of the middle nine tenths is from ",
      nats("low", low), " to ", nats("high", high), " nats, its median ", nats("middle", middle), "; derived, the median is ", nats("law", law),
      Number.isFinite(high[at]) ? "." : ". Without an estimate it is infinite.",
    ],
  };
}, { plays: "generation" });
