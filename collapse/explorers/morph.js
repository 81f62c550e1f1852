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

const SHOWN = ["discard", "augment"];

function drawMorph(svg, width, height, { curves, families, law, exact, share, n, range }) {
  const generations = law.discard.length;
  const { from, to } = range(share);
  const said = (value) => (value >= 0.001 ? plain(value, 3) : `10${[...String(Math.round(Math.log10(value)))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("")}`);
  // between few powers of ten 2 and 5 times them too
  const digits = to / from < 400 ? [1, 2, 5] : [1];
  const at = Array.from({ length: 14 }, (_, i) => digits.map((digit) => Number(`${digit}e${i - 8}`))).flat().filter((value) => value >= from && value <= to);
  const frame = axes(
    svg, width, height,
    { from: 1, to: generations, title: "generation", most: 4 },
    { from, to, log: true, at, say: said, title: ["risk, each in its own units", "risk, partly divided", "risk ratio"][Math.floor(share) + Math.ceil(share)] },
    { right: 82 },
  );
  SHOWN.forEach((name, i) => shape(svg, "text", { class: "name", "data-family": name, x: width - 2 - 74 * (1 - i), y: 14, "text-anchor": "end" }, name));
  const [wide, tall] = [frame.right - frame.left, frame.bottom - frame.top];
  const inside = shape(svg, "svg", { x: frame.left, y: frame.top, width: wide, height: tall, viewBox: `${frame.left} ${frame.top} ${wide} ${tall}` });
  const put = (risk, attributes) => line(inside, frame, divided(risk, share).map((value, i) => [i + 1, value]), attributes);
  for (const name of SHOWN) {
    for (const curve of curves) put(curve[name], { class: "thin", "data-family": name });
    families.forEach(({ variance }, i) => put(exact[name][i], { class: `curve ${["below", "between", "above"][1 + Math.sign(variance[2])]}`, "data-family": name }));
    if (share === 1) put(law[name], { class: "law" });
  }
  // the greatest first value comes down to 1 as curves are divided; the end of the curve farthest from the law moves with n
  const first = Math.max(...curves.flatMap((one) => SHOWN.map((name) => one[name][0])));
  const height1 = (value) => scale({ ...range(value), log: true }, frame.bottom, frame.top)(first ** (1 - value));
  grip(svg, { control: "share", at: [frame.left, height1(share)], place: (value) => [frame.left, height1(value)], along: "y" });
  if (share === 1) {
    const far = families.reduce((a, b) => (Math.abs(b.variance[2]) > Math.abs(a.variance[2]) ? b : a));
    const late = Math.ceil(0.8 * generations);
    const place = (rows) => [frame.x(late), frame.y(divided(morris("discard", { ...far, generations }, rows), 1)[late - 1])];
    grip(svg, { control: "n", at: place(n), place, along: "y", hue: "discard" });
  }
  reads(svg, frame, Array.from({ length: generations }, (_, i) => i), (i) => {
    const risks = curves.map((one) => divided(one.discard, share)[i]);
    return { x: frame.x(i + 1), text: `generation ${i + 1}, discard: from ${plain(Math.min(...risks), 3)} to ${plain(Math.max(...risks), 3)}`, dots: [] };
  });
  // the ends of discard's exact curves are named, the outermost first, as far as the names do not cover one another
  const taken = [];
  const ends = families.map(({ variance }, i) => ({ v2: variance[2], y: frame.y(divided(exact.discard[i], share).at(-1)) }));
  for (const { v2, y } of ends.sort((a, b) => Math.abs(b.v2) - Math.abs(a.v2))) {
    if (share < 1 || y < frame.top || taken.some((other) => Math.abs(other - y) < 15)) continue;
    taken.push(y);
    shape(svg, "text", { class: "name", "data-family": "discard", x: frame.right + 6, y: y + 4 }, `v₂ = ${signed(v2, 2)}`);
  }
}

export default explorer(({ state: { share, n }, data: { curves, families, rows }, picture, width }) => {
  const generations = curves[0].discard.length;
  const law = Object.fromEntries(SHOWN.map((name) => [name, curve(workflow(name, generations, { size: 1 }))]));
  const at = (size) => Object.fromEntries(SHOWN.map((name) => [name, families.map((family) => morris(name, { ...family, generations }, size))]));
  const exact = at(n);
  // the axis holds all curves for every n, before the division and after it, and moves from the one range to the other
  const all = [at(rows[0]), at(rows.at(-1))].flatMap((some) => some.augment.flatMap((risk) => [...risk]));
  for (const one of curves) all.push(...one.discard, ...one.augment);
  const [least, most] = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  const range = (value) => ({ from: least ** (1 - value) * 0.8 ** value, to: most ** (1 - value) * 200 ** value });
  const height = width < 450 ? 320 : 380;
  const [[svg]] = panels(picture, width, [1], height);
  drawMorph(svg, width, height, { curves, families, law, exact, share, n, range });
  const divisor = share === 1 ? "divided by its first value" : share === 0 ? "each in its own units" : `${percent(share)} of the way to being divided by its first value`;
  describe(svg, `Risk against generation for ${curves.length} models under discard and augment, ${divisor}, and exact curves of ${families.length} families at n = ${n}.`);

  const last = curves.map((one) => divided(one.discard, share).at(-1));
  const spread = Math.max(...last) / Math.min(...last);
  const ratios = families.map(({ name, variance }, i) => ({ name, v2: variance[2], ratio: divided(exact.discard[i], 1).at(-1) }));
  const far = ratios.reduce((a, b) => (b.ratio > a.ratio * (1 + 1e-9) ? b : a));
  const near = ratios.reduce((a, b) => (b.ratio < a.ratio * (1 - 1e-9) ? b : a));
  return {
    family: "real",
    meaning:
      "Thin: the simulated curves of all covered models, each at its own n. Thick: exact curves at the n that you choose, of the families with " +
      "variance function v₀ + v₁μ + v₂μ²; solid where v₂ > 0, dotted where it is 0, dashed where v₂ < 0. Dashed in ink: the law.",
    summary: [
      `At generation ${generations} of discard the largest of ${curves.length} curves is `, ["spread", spread, plain(spread, 3)], " times the smallest",
      share < 1 ? "; draw the ring down to divide each by its risk at generation 1. " : ": they are one curve, but for chance and finite n. ",
      `Exact at n = ${whole(n)}: ${far.name} (v₂ = ${signed(far.v2)}) has ratio `, ["highest", far.ratio, plain(far.ratio, 4)],
      `, ${near.name} (v₂ = ${signed(near.v2)}) `, ["lowest", near.ratio, plain(near.ratio, 4)],
      `, and the law says ${generations}. A curve leaves the law to the side of the sign of v₂, and the more the smaller n is.`,
    ],
  };
}, { plays: "share" });
