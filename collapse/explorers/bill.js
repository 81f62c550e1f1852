// Bill: what a policy adds to the log-loss of a model with p parameters fitted to n rows, and who would notice.

function drawBill(svg, width, height, name, extra, state) {
  const least = leastOf(state.test_rows);
  const alone = state.p / (2 * state.n);
  const points = Array.from(extra, (nats, i) => [i + 1, nats]).filter(([, nats]) => nats > 0);
  const every = [least, alone, ...points.map(([, nats]) => nats)];
  const y = { from: 1 / steady(svg, "least", 10 ** -Math.floor(Math.log10(Math.min(...every)) - 0.2)), to: steady(svg, "most", 10 ** Math.ceil(Math.log10(Math.max(...every)) + 0.1)) };
  const power = (value) => `10${[...String(Math.round(Math.log10(value)))].map((digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]).join("")}`;
  const write = (value) => (value >= 0.001 && value <= 1000 ? plain(value, 1) : power(value));
  const x = { from: 1, to: steady(svg, "generations", roundUp(extra.length)), title: "generation" };
  const frame = axes(svg, width, height, x, { ...y, log: true, title: "extra log-loss, nats", say: write }, { left: 58 });
  const label = labels(svg, frame);
  shape(svg, "rect", { class: "unseen", x: frame.left, y: frame.y(least), width: frame.right - frame.left, height: frame.bottom - frame.y(least) });
  const nameLeast = markLevel(svg, frame, label, least, `${whole(state.test_rows)} test rows show this`);
  const nameAlone = markLevel(svg, frame, label, alone, "excess of the real data alone");
  line(svg, frame, points);
  label.avoid(points);
  const last = extra[extra.length - 1];
  // what is nothing to see stands at the foot
  const end = [frame.x(extra.length), last > 0 ? frame.y(last) : frame.bottom];
  grip(svg, { control: "generations", at: end, place: (g) => [frame.x(g), 0] });
  label.cover(...end, 14);
  const place = (rows) => [frame.left + 24, frame.y(leastOf(rows))];
  grip(svg, { control: "test_rows", at: place(state.test_rows), place, along: "y", line: true, hue: "real" });
  label.cover(...place(state.test_rows), 14);
  reads(svg, frame, extra.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: ${plain(extra[i], 3)} nats`,
    dots: extra[i] > 0 ? [[frame.x(i + 1), frame.y(extra[i])]] : [],
  }));
  if (last > 0) {
    dot(svg, frame, extra.length, last);
    const [px, py] = [frame.x(extra.length), frame.y(last)];
    label.write(called(name), [...[4, -8, 16].map((shift) => ["start", px + 18, py + shift]), ...[-18, 28, -26, 36].map((shift) => ["end", px, py + shift])], { class: "name" });
  }
  nameLeast();
  nameAlone();
  describe(svg, `Extra log-loss against generation: ${plain(last, 3)} nats at the last; ${whole(state.test_rows)} test rows show ${plain(least, 3)} nats or more.`);
}

export default explorer(({ state, parameters, picture, width }) => {
  const { workflow: name, generations, n, p, test_rows } = state;
  const { values } = follow(name, generations, parameters);
  const last = values[generations - 1];
  const extras = Float64Array.from(values, (ratio) => Math.max(extraOf(ratio, n, p), 0));
  const extra = extras[generations - 1];
  const least = leastOf(state.test_rows);
  const seen = extras.findIndex((nats) => nats >= least) + 1;
  const height = heightFor(width);
  const [[svg, wide]] = panels(picture, width, [1], height);
  drawBill(svg, wide, height, name, extras, state);

  const rows = Math.max(n / last, 0);
  const count = (value) => plain(value, Math.max(3, Math.ceil(Math.log10(value))));
  const visible = () => ["needed", leastOf(extra), count(Math.ceil(leastOf(extra).toPrecision(3)))];
  const judged =
    extra < 1e-12
      ? ["nothing to see."]
      : extra < least
        ? ["negligible: ", visible(), ` test rows would show it, scored by both models, and you have ${whole(test_rows)}.`]
        : ["your test set shows it", seen > 1 ? ` from generation ${seen} on: ` : ": ", visible(), " rows are enough, scored by both models."];
  const far = (last * p) / n;
  return {
    family: familyOf(name),
    meaning: meaningOf(name, parameters),
    summary: [
      `After ${times(generations, "generation")} of ${called(name)} your ${whole(n)} rows are worth `,
      ["rows", rows, count(Number(rows.toPrecision(3)))],
      `, and the log-loss of a model with ${times(p, "parameter")} is higher by `,
      ["extra", extra, plain(extra, 2)],
      " nats: ",
      ...judged,
      ...(far > 0.1 ? [` This is the first order in ratio · p / n, which is ${plain(far, 2)} and not small: the truth may be far worse.`] : []),
    ],
  };
}, { plays: "generations" });
