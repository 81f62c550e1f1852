// Survival: the share of chains whose estimate still exists, by generation, one curve for each table and workflow.

const DASHES = ["", "7 4", "1 4", "7 4 1 4"];

function drawSurvival(svg, width, height, curves, generation) {
  const G = curves[0].alive.length;
  const frame = axes(
    svg, width, height,
    { from: 1, to: G, title: "generation", most: width < 400 ? 5 : 10 },
    { from: 0, to: 1.12, title: "chains with an estimate", say: percent, most: 4 },
    { left: 50 },
  );
  const label = labels(svg, frame);
  shape(svg, "line", { class: "axis", x1: frame.x(generation), x2: frame.x(generation), y1: frame.top, y2: frame.bottom });
  const used = {};
  const points = curves.map(({ alive }) => alive.map((value, i) => [i + 1, value]));
  curves.forEach(({ rule }, i) => {
    const family = familyOf(rule.replaceAll(" ", "_"));
    const dash = DASHES[(used[family] = (used[family] ?? -1) + 1) % DASHES.length];
    line(svg, frame, points[i], { "data-family": family, ...(dash && { "stroke-dasharray": dash }) });
    label.avoid(points[i]);
  });
  const place = (g, { alive }) => [frame.x(g), frame.y(alive[g - 1])];
  curves.forEach((one) => {
    grip(svg, { control: "generation", at: place(generation, one), place: (g) => place(g, one), line: true, hue: familyOf(one.rule.replaceAll(" ", "_")) });
    label.cover(...place(generation, one), 14);
  });
  curves.forEach((one, i) => {
    // beside the curve where it falls, above it or below it where it does not
    const stops = [0.5, 0.3, 0.7, 0.15, 0.85, 0.95].map((share) => points[i].findIndex(([, value]) => value <= share)).filter((at) => at > 0);
    const spots = stops.length ? stops : [0.5, 0.7, 0.3].map((share) => Math.round(share * (G - 1)));
    const places = spots.flatMap((at) => {
      const [x, y] = place(at + 1, one);
      return [...(stops.length ? [["start", x + 8, y]] : []), ["start", x + 4, y - 8], ["end", x - 8, y + 16]];
    });
    label.write(`${one.what}, ${one.rule}`, places, { class: "name", "data-family": familyOf(one.rule.replaceAll(" ", "_")) });
  });
  reads(svg, frame, curves[0].alive.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: ${curves.map(({ alive }) => percent(alive[i])).join(", ")}`,
    dots: curves.map((one) => [...place(i + 1, one), familyOf(one.rule.replaceAll(" ", "_"))]),
  }));
  describe(svg, `Share of chains that have an estimate, against generation. At the last: ${curves.map(({ what, rule, alive }) => `${what} under ${rule} ${percent(alive.at(-1))}`).join(", ")}.`);
}

export default explorer(({ state: { generation: wanted }, data: { curves, chains }, picture, width }) => {
  const generation = Math.min(wanted, curves[0].alive.length);
  const height = heightFor(width) + (width < 560 ? 90 : 30);
  const [[svg, wide]] = panels(picture, width, [1], height);
  drawSurvival(svg, wide, height, curves, generation);
  const half = ({ alive }) => alive.findIndex((value) => value <= 0.5) + 1;
  const said = curves.flatMap((one, i) => [
    i ? "; " : "",
    `${one.what} under ${one.rule} `,
    [`alive-${i}`, one.alive[generation - 1], percent(one.alive[generation - 1])],
    ...(half(one) ? [" (half are lost by generation ", [`half-${i}`, half(one), whole(half(one))], ")"] : []),
  ]);
  return {
    family: "real",
    meaning: chains
      ? `${whole(chains)} simulated chains for each curve. A chain whose labels a plane separates has no estimate from then on, and never again.`
      : "Exact shares: a logistic regression with an intercept alone has an estimate as long as both labels, each as probable at first, occur among those that a fit reads.",
    summary: [`At generation ${generation} these shares of the chains still have an estimate: `, ...said, "."],
  };
}, { plays: "generation" });
