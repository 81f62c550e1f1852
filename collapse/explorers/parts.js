// What every explorer is made of: controls, the address that carries them, pictures with axes and labels, numbers in words.
//
// An explorer's own file follows this one and ends with `export default explorer(draw)`. draw({ state, parameters, picture, width })
// knows the values of all controls (`state`) and of those that belong to the workflow chosen (`parameters`), puts drawings into the
// element `picture`, which is `width` pixels wide and empty, and returns
//     family    the family of workflows whose hue the controls take
//     meaning   what the controls stand for now, one or two sentences
//     summary   the outcome: pieces of text, and numbers as [name, value, text]; it is read to those who do not see the picture
//     python    if given, the same as Python, to copy
// What a pointer moves in a drawing, draw gives to grip(); what a pointer or the keyboard reads there, to reads().

// ---- the document

function fill(node, attributes, text) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function element(parent, tag, attributes = {}, text) {
  return parent.appendChild(fill(document.createElement(tag), attributes, text));
}

function shape(parent, tag, attributes = {}, text) {
  return parent.appendChild(fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, text));
}

// ---- numbers in words

const plain = (value, digits) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
const whole = (value) => value.toLocaleString("en");
const short = (value) => plain(value, 2);
const signed = (value, digits = 3) => (value < 0 ? `−${plain(-value, digits)}` : plain(value, digits));
const percent = (share) => `${Number((100 * share).toPrecision(3))}\u00a0%`;
const rowsWorth = (ratio) => plain(1000 / ratio, 1000 / ratio < 10 ? 2 : Math.max(3, Math.ceil(Math.log10(1000 / ratio))));
const times = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

// ---- workflows

const familyOf = (name) => FAMILIES[name] ?? "real";

const weighing = (what, share) => (share === 0 ? "" : ` and, with ${percent(share)} of the weight, on ${what}`);
const bySize = (size) => (size === 1 ? "" : ` A batch has ${plain(size, 3)} times as many rows as were real.`);
const fewer = ({ kept = 1 }) => (kept === 1 ? "" : ` From generation 2 on a fit reads only ${percent(kept)} of these rows, drawn anew.`);
const meaningOf = (name, parameters) => MEANINGS[name](parameters) + fewer(parameters);
const called = (name) => name.replaceAll("_", " ");

// What happens after the last generation shown, in the limit; `first` is the first fit's risk in units of a fit to all real rows.
function verdict(end, first = 1) {
  if (!end) return "no formula says what it does in the end";
  const { limit, growth, logarithmic } = end;
  if (growth === 0) return `for many rows it levels off at ${plain(limit, 5)}, where they are worth ${rowsWorth(first * limit)}`;
  if (logarithmic) return `for many rows it grows without end, like ${plain(growth, 3)} ln g: collapse, but a slow one`;
  return `for many rows it grows without end, by ${plain(growth, 3)} a generation in the end: collapse`;
}

// ---- what is made once

// The function, with its last value kept for the same arguments: what is drawn at random is the same while a slider moves.
function remember(make) {
  let [asked, value] = [];
  return (argument) => {
    const key = JSON.stringify(argument);
    if (key !== asked) [asked, value] = [key, make(argument)];
    return value;
  };
}

// The risk curve of a named workflow, at least so far, and its plan; both once for all generations up to a round number.
const LAST_GENERATIONS = [10, 20, 50, 100, 200, 500, 1000];
const roundUp = (generations) => LAST_GENERATIONS.find((last) => last >= generations);
const followed = remember(([name, last, parameters]) => {
  const plan = workflow(name, last, parameters);
  return { plan, values: curve(plan) };
});

function follow(name, generations, parameters) {
  const { plan, values } = followed([name, roundUp(generations), parameters]);
  return { plan, values: values.subarray(0, generations) };
}

// ---- drawings

// Drawings side by side where there is room, one below the other where not: [svg, width] for each share of the width.
function panels(picture, width, shares, height) {
  const gap = 24;
  const beside = width >= 560;
  const total = shares.reduce((sum, share) => sum + share);
  return shares.map((share) => {
    const wide = Math.floor(beside ? ((width - gap * (shares.length - 1)) * share) / total : width);
    return [shape(picture, "svg", { role: "img", viewBox: `0 0 ${wide} ${height}`, width: wide, height }), wide];
  });
}

const describe = (svg, text) => svg.setAttribute("aria-label", text);

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((multiple) => multiple * power >= rough * (1 - 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-9); i++) found.push(Number((i * step).toPrecision(12)));
  // a scale that begins at 1 is marked there, and not right beside it
  return low === 1 ? [1, ...found.filter((value) => value >= 1 + 0.6 * step)] : found;
}

// Powers of ten, thinned to `most`; with few of them 2 and 5 between.
function logTicks(low, high, most) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) powers.push(power);
  if (powers.length > 2) return powers.filter((_, i) => i % Math.ceil(powers.length / most) === 0).map((power) => 10 ** power);
  const steps = [-1, 0, 1, 2, 3, 4].flatMap((power) => [1, 2, 3, 5].map((digit) => digit * 10 ** (power + Math.floor(Math.log10(low)))));
  return steps.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

const scale = ({ from, to, log = false }, start, end) => {
  const at = log ? Math.log : (value) => value;
  return (value) => start + ((at(value) - at(from)) / (at(to) - at(from))) * (end - start);
};

// Axes with gridlines, ticks and titles. x and y: { from, to, title, log, most, say } with `most` ticks written by `say`.
function axes(svg, width, height, x, y, margin = {}) {
  const { top, right: side, bottom: foot, left } = { top: 34, right: 14, bottom: 44, left: 48, ...margin };
  const right = width - side;
  const bottom = height - foot;
  const frame = { left, right, top, bottom, x: scale(x, left, right), y: scale(y, bottom, top), ends: [x.from, x.to] };
  const marks = ({ from, to, log, most, at }) => at ?? (log ? logTicks : ticks)(from, to, most);
  for (const value of marks({ most: 5, ...y })) {
    const level = frame.y(value);
    shape(svg, "line", { class: value === y.from ? "axis" : "grid", x1: left, x2: right, y1: level, y2: level });
    shape(svg, "text", { class: "tick", x: left - 8, y: level + 4, "text-anchor": "end" }, (y.say ?? whole)(value));
  }
  for (const value of marks({ most: width < 450 ? 5 : 10, ...x })) {
    shape(svg, "line", { class: "axis", x1: frame.x(value), x2: frame.x(value), y1: bottom, y2: bottom + 4 });
    shape(svg, "text", { class: "tick", x: frame.x(value), y: bottom + 18, "text-anchor": "middle" }, (x.say ?? whole)(value));
  }
  shape(svg, "line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom });
  if (y.title) shape(svg, "text", { class: "title", x: 4, y: 14 }, y.title);
  if (x.title) shape(svg, "text", { class: "title", x: right, y: height - 6, "text-anchor": "end" }, x.title);
  return frame;
}

// A line through points [x, y] of a frame; `attributes` may give it a family, a class, a dash.
function line(svg, frame, points, attributes = {}) {
  const text = points.map(([x, y]) => `${frame.x(x).toFixed(2)},${frame.y(y).toFixed(2)}`).join(" ");
  return shape(svg, "polyline", { class: "curve", points: text, ...attributes });
}

const dot = (svg, frame, x, y, attributes = {}) => shape(svg, "circle", { class: "end", cx: frame.x(x), cy: frame.y(y), r: 4, ...attributes });

// Labels that cover neither a curve nor each other. avoid(points) names a curve, [x, y] in data units; write(text, places) takes the
// first free of some places, each [anchor, x, y] in pixels, anchor "start" or "end"; where none is free, a `spare` one is
// left out.
function labels(svg, frame) {
  const covered = [];
  const box = (left, right, top, bottom) => ({ left, right, top, bottom });
  return {
    avoid(points) {
      const at = points.map(([x, y]) => [frame.x(x), frame.y(y)]);
      for (let i = 0; i < at.length; i++) {
        const [[x0, y0], [x1, y1]] = [at[Math.max(i - 1, 0)], at[i]];
        const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 3));
        for (let j = 1; j <= steps; j++) {
          const [px, py] = [x0 + ((x1 - x0) * j) / steps, y0 + ((y1 - y0) * j) / steps];
          covered.push(box(px, px, py, py));
        }
      }
    },
    cover(x, y, r) {
      covered.push(box(x - r, x + r, y - r, y + r));
    },
    write(text, places, attributes = {}, spare = false) {
      const node = shape(svg, "text", attributes, text);
      const wide = node.getComputedTextLength();
      const boxes = places.map(([anchor, x, y]) => {
        const left = anchor === "start" ? x : Math.max(x - wide, frame.left);
        return box(left, left + wide, y - 13, y + 3);
      });
      const inside = (a) => a.right <= frame.right + 1 && a.bottom < frame.bottom && a.top > frame.top - 16;
      const meet = (a, b) => a.left <= b.right && a.right >= b.left && a.top <= b.bottom && a.bottom >= b.top;
      // where no place is free, a line may run under the label, whose letters have a rim; another label may not
      const clash = (a) => (inside(a) ? 0 : 1000) + covered.filter((b) => meet(a, b)).reduce((sum, { written }) => sum + (written ? 1000 : 1), 0);
      const clashes = boxes.map(clash);
      const chosen = boxes[clashes.indexOf(Math.min(...clashes))];
      if (spare && Math.min(...clashes) > 0) return node.remove();
      covered.push({ ...chosen, written: true });
      fill(node, { x: chosen.left, y: chosen.bottom - 3 });
      return node;
    },
  };
}

// ---- what a reader takes hold of, and reads

const GRIPS = new WeakMap(); // a drawing's grips
const READINGS = new WeakMap(); // what can be read in it

// A ring in a drawing that a pointer moves: the control `control` follows it. at: where it is, [x, y] in pixels; place(value): where it
// would be; along: "x", "y" or "xy", what of a distance counts; line: it is a line along the other axis, to be held anywhere; also: other controls that
// are set when it is taken; quiet: no ring is drawn, and it is taken only where it is. Where the control is no slider, values are those it can be given,
// and take(value) is told.
function grip(svg, { control, at, place, along = "x", line = false, hue, also = {}, quiet = false, ...more }) {
  const [x, y] = at;
  GRIPS.set(svg, [...(GRIPS.get(svg) ?? []), { control, at, place, along, line, also, quiet, ...more }]);
  svg.classList.add("held");
  if (quiet) {
    shape(svg, "circle", { class: `quiet ${along}`, cx: x, cy: y, r: 12 });
    return;
  }
  const ring = shape(svg, "g", { class: `grip ${along}`, "data-control": control, transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`, ...(hue && { "data-family": hue }) });
  if (along !== "x") ring.classList.add("upright");
  shape(ring, "circle", { class: "around", r: 14 });
  shape(ring, "circle", { class: "ring", r: 8 });
  const arrows = { x: [0, 180], y: [90, 270], xy: [0, 180] }[along];
  for (const turn of arrows) shape(ring, "path", { d: "M11,-5l6,5l-6,5z", transform: `rotate(${turn})` });
}

// What stands at some places of a drawing: at(value) -> { x, text, dots: [[x, y, family]] } in pixels. A pointer over the drawing reads
// what is nearest, the keyboard one value after the other.
function reads(svg, frame, values, at) {
  READINGS.set(svg, { frame, values: [...values], at });
}

function readOut(svg, index) {
  svg.querySelector(":scope > .reading")?.remove();
  const reading = READINGS.get(svg);
  if (index === undefined || !reading) return "";
  const { frame, values, at } = reading;
  const { x, text, dots } = at(values[index]);
  const group = shape(svg, "g", { class: "reading" });
  shape(group, "line", { x1: x, x2: x, y1: frame.top, y2: frame.bottom });
  for (const [px, py, family] of dots) if (py >= frame.top - 4 && py <= frame.bottom + 4) shape(group, "circle", { cx: px, cy: py, r: 4, ...(family && { "data-family": family }) });
  const said = shape(group, "text", { y: frame.top - 6 }, text);
  // what has no room beside the rest is told and not drawn
  const room = svg.width.baseVal.value - 8;
  while (said.getComputedTextLength() > room && said.textContent.includes(", ")) said.textContent = said.textContent.replace(/, (?!.*, ).*/, "");
  const wide = said.getComputedTextLength();
  said.setAttribute("x", Math.max(4, Math.min(x - wide / 2, svg.width.baseVal.value - wide - 4)));
  return text;
}

// A round end of an axis, `to`; while a grip is held it may grow and not shrink, so that the picture stays under the pointer.
function steady(svg, name, to) {
  const picture = svg.parentElement;
  const ends = (picture.ends ??= {});
  ends[name] = picture.holding ? Math.max(to, ends[name] ?? to) : to;
  return ends[name];
}

const NEAR = 18; // px from a grip to what takes hold of it
const BESIDE = 8; // px that a finger may slip before it moves something

// The pointer in a picture, be it a mouse, a finger or a pen: it takes hold of the grip that it presses nearest to. A click, or a tap,
// sets the grip there: what a drag does, a single press does too. choose({ control: value }) is told.
function hold(picture, controls, state, choose, settle) {
  let held;
  const drawing = ({ target }) => [...picture.children].find((child) => child.contains(target));
  const place = (svg, { clientX, clientY }) => {
    const box = svg.getBoundingClientRect();
    const zoom = svg.width.baseVal.value / box.width;
    return [(clientX - box.left) * zoom, (clientY - box.top) * zoom];
  };
  const far = ({ along }, [x, y], [px, py]) => Math.hypot(along === "y" ? 0 : x - px, along === "x" ? 0 : y - py);
  const nearest = (svg, point) => {
    const direct = ({ at }) => Math.hypot(at[0] - point[0], at[1] - point[1]);
    const grips = (GRIPS.get(svg) ?? []).filter((one) => !one.quiet || direct(one) < NEAR);
    const away = (one) => (one.line ? far(one, one.at, point) : direct(one));
    return grips.reduce((best, one) => (!best || away(one) < away(best) ? one : best), undefined);
  };
  const move = (event) => {
    const number = [...picture.children].indexOf(held.svg);
    const svg = number < 0 ? picture.children[held.number] : held.svg;
    const point = place(svg, event).map((value, i) => value - held.off[i]);
    const values = held.values;
    let best = values[0];
    for (const value of values) if (far(held.grip, held.grip.place(value), point) < far(held.grip, held.grip.place(best), point)) best = value;
    if (held.grip.take) {
      held.grip.take(best);
      return;
    }
    const wanted = { ...held.grip.also, [held.grip.control]: best };
    const now = state();
    if (Object.entries(wanted).some(([name, value]) => value !== now[name])) choose(wanted);
  };
  const start = (event) => {
    held.moving = picture.holding = true;
    picture.classList.add("holding");
    picture.setPointerCapture(event.pointerId);
    move(event);
  };
  picture.addEventListener("pointerdown", (event) => {
    const svg = drawing(event);
    if (event.button || held || !svg) return;
    const point = place(svg, event);
    if (!GRIPS.has(svg)) {
      // a finger cannot point without touching
      for (const child of picture.children) readOut(child, child === svg ? closest(svg, point[0]) : undefined);
      return;
    }
    const grip = nearest(svg, point);
    const near = (grip.line ? far(grip, grip.at, point) : Math.hypot(grip.at[0] - point[0], grip.at[1] - point[1])) < NEAR;
    const control = controls.find(({ name }) => name === grip.control);
    // what is taken by its rim does not jump
    const off = near ? point.map((value, i) => value - grip.at[i]) : [0, 0];
    held = { svg, number: [...picture.children].indexOf(svg), grip, off, values: grip.values ?? valuesOf(control, state()), from: [event.clientX, event.clientY], pointer: event.pointerId };
    readOut(svg);
    if (event.pointerType === "mouse") event.preventDefault();
    if (event.pointerType === "mouse" || (near && grip.along !== "x")) start(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (!held) {
      const svg = drawing(event);
      const grip = svg && nearest(svg, place(svg, event));
      picture.style.cursor = grip ? { x: "ew-resize", y: "ns-resize", xy: "grab" }[grip.along] : "";
      if (event.pointerType === "mouse") for (const child of picture.children) readOut(child, child === svg ? closest(svg, place(svg, event)[0]) : undefined);
      return;
    }
    if (event.pointerId !== held.pointer) return;
    if (held.moving) move(event);
    else if (Math.abs(event.clientX - held.from[0]) > BESIDE) start(event);
  });
  const end = (event) => {
    if (!held || event.pointerId !== held.pointer) return;
    // a tap
    if (!held.moving && event.type === "pointerup") move(event);
    const { number } = held;
    held = undefined;
    picture.holding = false;
    picture.classList.remove("holding");
    settle();
    if (event.type !== "pointerup") return;
    // once what was chosen is drawn
    queueMicrotask(() => {
      const svg = picture.children[number];
      readOut(svg, closest(svg, place(svg, event)[0]));
    });
  };
  for (const type of ["pointerup", "pointercancel"]) picture.addEventListener(type, end);
  picture.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && [...picture.children].forEach((child) => readOut(child)));
}

function closest(svg, x) {
  const reading = READINGS.get(svg);
  if (!reading) return undefined;
  const away = reading.values.map((value) => Math.abs(reading.at(value).x - x));
  return away.indexOf(Math.min(...away));
}

// The same for the keyboard: the picture is a stop of the tabulator, and its arrows read one value after the other.
function readByKeys(picture, tell) {
  let [number, index] = [0, -1];
  const readable = () => [...picture.children].filter((child) => READINGS.has(child));
  const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  picture.addEventListener("keydown", (event) => {
    const drawings = readable();
    if (!drawings.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") number = (number + (event.key === "ArrowDown" ? 1 : drawings.length - 1)) % drawings.length;
    else if (event.key in steps) {
      const last = READINGS.get(drawings[number % drawings.length]).values.length - 1;
      index = Math.max(0, Math.min(last, index + steps[event.key]));
    } else return;
    event.preventDefault();
    const svg = drawings[number % drawings.length];
    index = Math.max(0, Math.min(index, READINGS.get(svg).values.length - 1));
    for (const child of picture.children) if (child !== svg) readOut(child);
    tell(readOut(svg, index));
  });
  picture.addEventListener("blur", () => [...picture.children].forEach((child) => readOut(child)));
}

// A dashed line across the frame at a height, named at the first free place along it.
function markLevel(svg, frame, label, value, text) {
  const ends = frame.ends.map((x) => [x, value]);
  line(svg, frame, ends, { class: "limit" });
  label.avoid(ends);
  const between = [0.8, 0.65, 0.5, 0.35, 0.2].map((share) => ["end", frame.left + share * (frame.right - frame.left)]);
  const sides = [["end", frame.right], ["start", frame.left + 8], ...between];
  return () => label.write(text, sides.flatMap(([anchor, x]) => [-6, 16, 28, -18, 40, -30].map((shift) => [anchor, x, frame.y(value) + shift])));
}

// The axes end at round numbers, so that a curve moves in its frame and not the frame with the curve.
const HIGHEST_RATIOS = [1, 10, 100, 1000, 10000, 100000].flatMap((power) => [1.8, 2.5, 4, 6, 10].map((top) => top * power));

// Pictures are lower on a telephone: controls, picture and outcome are then seen together.
const heightFor = (width) => (width < 560 ? 210 : 270);

// The ratio of a workflow against the generation, values[0] that of generation 1, marked at generation `at`, which `control` sets.
function drawRatio(svg, width, height, name, values, control, at = values.length) {
  const now = values[at - 1];
  const [lowest, highest] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const x = { from: 1, to: steady(svg, "generations", roundUp(values.length)), title: "generation", most: width < 400 ? 5 : 10 };
  const y = { from: lowest < 0.999 ? 0 : 1, to: steady(svg, "ratio", HIGHEST_RATIOS.find((value) => value >= 1.05 * highest)), title: "risk ratio" };
  const frame = axes(svg, width, height, x, y, y.to >= 1e4 ? { left: 64 } : {});
  const points = Array.from(values, (value, i) => [i + 1, value]);
  const label = labels(svg, frame);
  const nameLevel = markLevel(svg, frame, label, BASEL, "π²/6 = 1.6449");
  line(svg, frame, points);
  label.avoid(points);
  dot(svg, frame, at, now);
  grip(svg, { control, at: [frame.x(at), frame.y(now)], place: (g) => [frame.x(g), 0] });
  reads(svg, frame, values.keys(), (i) => ({
    x: frame.x(i + 1),
    text: `generation ${i + 1}: ratio ${plain(values[i], 5)}, 1,000 rows worth ${rowsWorth(values[i])}`,
    dots: [[frame.x(i + 1), frame.y(values[i])]],
  }));
  label.cover(frame.x(at), frame.y(now), 14);

  // the name stays on the curve's side of the line, else it would seem to name the line
  const below = now < BASEL;
  const [px, py] = [frame.x(at), frame.y(now)];
  const shifts = below ? [28, 36, 52, -18, -26, -42] : [-18, -26, -42, 28, 36, 52];
  const beside = (below ? [4, 16, 24, 36] : [4, -8, -16, -28]).map((shift) => ["start", px + 18, py + shift]);
  label.write(`${called(name)} ${plain(now, 4)}`, [...beside, ...shifts.map((shift) => ["end", px, py + shift])], { class: "name" });
  nameLevel();
  describe(svg, `Risk ratio against generation under ${called(name)}: from 1 to ${plain(now, 6)} at generation ${at}, with a line at π²/6.`);
}

// ---- controls

// JupyterLab would take the arrow keys for itself, to fold headings.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };
const UNITS = { percent, rows: whole };

// Where a control's slider stands and what a position stands for: its values one by one, or steps from low to high.
function positions({ values, low, high, step }) {
  if (!values.length) return { min: low, max: high, step, at: (value) => value, value: (at) => at };
  const nearest = (value) => values.reduce((best, other, i) => (Math.abs(other - value) < Math.abs(values[best] - value) ? i : best), 0);
  return { min: 0, max: values.length - 1, step: 1, at: nearest, value: (at) => values[at] };
}

// All values that a pointer can give to a control: each whole number, or each position of its slider.
const CAPS = {}; // where a control ends, by its name, where its explorer's file says so from the state
const topOf = ({ name, high, limits = [] }, state) => Math.min(CAPS[name]?.(state) ?? high, limits.find(([which]) => which === state.workflow)?.[1] ?? high);
function valuesOf(control, state) {
  const { min, max, step, value } = positions(control);
  const top = topOf(control, state);
  if (control.whole && top - control.low <= 2000) return Array.from({ length: top - control.low + 1 }, (_, i) => control.low + i);
  const count = Math.round((max - min) / step) + 1;
  return Array.from({ length: count }, (_, i) => value(Number((min + i * step).toPrecision(12)))).filter((one) => one <= top);
}

// Each control is put into `panel` and returns how it is shown anew; put(value) is told what the reader chose.
const KINDS = {
  choice(panel, id, { name, label, choices }, put) {
    element(panel, "label", { for: id }, label);
    const select = element(panel, "select", { id, name, ...OWN_KEYS });
    for (const choice of choices) element(select, "option", { value: choice }, called(choice));
    select.addEventListener("change", () => put(select.value));
    return (value) => (select.value = value);
  },

  switch(panel, id, { name, label }, put) {
    panel.classList.add("switch");
    const box = element(panel, "input", { id, name, type: "checkbox", ...OWN_KEYS });
    element(panel, "label", { for: id }, label);
    box.addEventListener("change", () => put(box.checked));
    return (value) => (box.checked = value);
  },

  // a new value at every press: the seed of what is drawn at random
  seed(panel, id, { name, label, low, high }, put) {
    panel.classList.add("seed");
    const button = element(panel, "button", { id, name, type: "button", ...OWN_KEYS }, label);
    const shown = element(panel, "span", { class: "value" });
    let seed;
    button.addEventListener("click", () => put(seed === high ? low : seed + 1));
    return (value) => {
      seed = value;
      shown.textContent = `seed ${value}`;
    };
  },

  // buttons beside the slider do without dragging; the keyboard has its arrows, so they are no stops for the tabulator
  slider(panel, id, { name, label, unit, zero, ...range }, put) {
    const { min, max, step, at, value: valueAt } = positions(range);
    const say = (value) => (value === 0 && zero ? zero : (UNITS[unit] ?? signed)(value));
    element(panel, "label", { for: id }, label);
    const shown = element(panel, "span", { class: "value", "aria-hidden": "true" });
    const press = (sign, way) => {
      const button = element(panel, "button", { type: "button", class: "step", tabindex: -1, "aria-label": `${label}: ${way}` }, sign);
      button.addEventListener("click", () => {
        input[sign === "+" ? "stepUp" : "stepDown"]();
        put(valueAt(input.valueAsNumber));
      });
    };
    press("−", "less");
    const input = element(panel, "input", { id, name, type: "range", min, max, step, ...OWN_KEYS });
    press("+", "more");
    input.addEventListener("input", () => put(valueAt(input.valueAsNumber)));
    return (value, state) => {
      input.max = at(topOf({ name, ...range }, state));
      if (input.valueAsNumber !== at(value)) input.value = at(value);
      shown.textContent = say(value);
      input.setAttribute("aria-valuetext", say(value));
    };
  },
};

// Whether a control is there: always, or with the workflow chosen.
const belongs = (workflows, state) => workflows.length === 0 || workflows.includes(state.workflow);

// What stands above as Python, folded, to copy; returns the element that holds it.
function asCode(above) {
  const box = document.createElement("details");
  above.after(box);
  box.className = "python";
  element(box, "summary", {}, "As Python");
  const code = element(box, "pre");
  const copy = element(box, "button", { type: "button" }, "Copy");
  copy.addEventListener("click", () => {
    const said = (words) => (copy.textContent = words);
    navigator.clipboard.writeText(code.textContent).then(() => said("Copied"), () => said("Select it and copy"));
    setTimeout(said, 4000, "Copy");
  });
  return code;
}

// ---- the address: #explorer-name?control=value&...;explorer-other?..., the explorer that was moved last before the others

const partsOf = (hash) => hash.slice(1).split(";").map((part) => part.split("?"));

function addressOf(anchor, controls, state) {
  const told = controls.filter(({ workflows }) => belongs(workflows, state)).map(({ name }) => [name, state[name]]);
  const page = location.href.replace(/#.*/s, "");
  const others = partsOf(location.hash).filter(([id, query]) => query && id !== anchor.id && document.getElementById(id)?.matches("[data-explorer]"));
  return `${page}#${[[anchor.id, new URLSearchParams(told)], ...others].map((part) => part.join("?")).join(";")}`;
}

const READERS = {}; // kinds of controls whose values are read from an address by their own file

// What the address says of an explorer's controls; what makes no sense is passed over.
function stateFromAddress(anchor, controls) {
  const [, query] = partsOf(location.hash).find(([id]) => id === anchor.id) ?? [];
  if (!query) return null;
  const given = new URLSearchParams(query);
  const read = ({ kind, choices, low, high, whole }, text) => {
    if (READERS[kind]) return READERS[kind](text);
    if (kind === "choice") return choices.includes(text) ? text : undefined;
    if (kind === "switch") return { true: true, false: false }[text];
    const value = text.trim() === "" ? NaN : Number(text);
    return value >= low && value <= high && (!whole || Number.isInteger(value)) ? value : undefined;
  };
  const found = controls.filter(({ name }) => given.has(name)).map((control) => [control.name, read(control, given.get(control.name))]);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

// ---- an explorer

let made = 0;

const PLAYED = 4000; // ms: within the five seconds that a picture may move by itself

// A button beside a control that plays it once, from its least value to its greatest. `quiet` while a script has pressed it: the
// reader has chosen nothing.
function player(box, root, control, state, choose) {
  const { name, label } = control;
  const button = element(box, "button", { type: "button", class: "play", "aria-label": `Play: ${label}` }, "Play");
  const playing = { quiet: false };
  let ticking;
  const stop = () => {
    clearInterval(ticking);
    playing.quiet = false;
    ticking = undefined;
    fill(button, { "aria-label": `Play: ${label}` }, "Play");
  };
  button.addEventListener("click", ({ isTrusted }) => {
    if (ticking) return stop();
    const values = valuesOf(control, state());
    const steps = Math.min(values.length - 1, 100);
    let at = 0;
    const step = () => {
      choose({ [name]: values[Math.round((at * (values.length - 1)) / steps)] });
      if (at++ === steps) stop();
    };
    playing.quiet = !isTrusted;
    fill(button, { "aria-label": `Pause: ${label}` }, "Pause");
    ticking = setInterval(step, PLAYED / steps);
  });
  for (const touch of ["pointerdown", "keydown"]) {
    root.addEventListener(touch, ({ target, key }) => ticking && target !== button && key !== "Tab" && stop());
  }
  return Object.assign(playing, { stop });
}

// `plays` names a control that can be played.
function explorer(draw, { plays } = {}) {
  // `anchor`, the element that a page's address can name, is given by shim.js; a notebook has an address of its own
  function render({ model, el, anchor = null }) {
    const { title, controls } = model.get("explorer");
    const prefix = `collapse-explorer-${Date.now().toString(36)}-${made++}`;
    const root = element(el, "div", { class: "collapse-explorer", role: "group", "aria-label": `Explorer: ${title}` });
    const panel = element(root, "div", { class: "controls" });
    const stateNow = () => {
      const state = Object.fromEntries(controls.map(({ name }) => [name, model.get(name)]));
      for (const control of controls) if (control.limits?.length || control.name in CAPS) state[control.name] = Math.min(state[control.name], topOf(control, state));
      return state;
    };
    const choose = (values) => {
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      model.save_changes();
    };

    const parts = controls.map((control) => {
      const box = element(panel, "div", { class: "control" });
      return { ...control, box, show: KINDS[control.kind](box, `${prefix}-${control.name}`, control, (value) => choose({ [control.name]: value })) };
    });
    const played = parts.find(({ name }) => name === plays);
    const playing = played && player(played.box, root, played, stateNow, choose);
    const meaning = element(root, "p", { class: "meaning" });
    const picture = element(root, "div", { class: "picture", role: "group", "aria-label": "Drawing: the arrow keys read its values", ...OWN_KEYS });
    const cue = element(root, "p", { class: "cue" }, "Drag a ring, or press where it shall be. Point at a drawing, or tap it, to read it.");
    const summary = element(root, "p", { class: "summary" });
    let code;
    // told once the controls stand still: a reader of the screen would otherwise hear every step of a slider
    const told = element(root, "p", { class: "told", role: "status" });
    let telling;

    const show = () => {
      const state = stateNow();
      for (const { name, workflows, box, show } of parts) {
        box.hidden = !belongs(workflows, state);
        show(state[name], state);
      }
      const parameters = Object.fromEntries(parts.filter(({ workflows }) => workflows.includes(state.workflow)).map(({ name }) => [name, state[name]]));
      picture.replaceChildren();
      const width = Math.floor(picture.clientWidth);
      const outcome = draw({ state, parameters, data: model.get("data"), picture, width: Math.max(width, 240) });
      root.dataset.family = outcome.family;
      const [held, read] = [GRIPS, READINGS].map((known) => [...picture.children].some((child) => known.has(child)));
      cue.hidden = !held;
      if (read) picture.tabIndex = 0;
      meaning.textContent = outcome.meaning;
      if (outcome.python) code ??= asCode(summary);
      if (code && code.textContent !== outcome.python) code.textContent = outcome.python;
      summary.replaceChildren();
      for (const piece of outcome.summary) {
        if (typeof piece === "string") summary.append(piece);
        else element(summary, "data", { "data-name": piece[0], value: piece[1] }, piece[2]);
      }
    };

    let waiting;
    const change = () => {
      // several controls that change at once are drawn once, before the next frame
      const quiet = playing?.quiet;
      waiting ??= Promise.resolve().then(() => {
        waiting = undefined;
        show();
        clearTimeout(telling);
        if (quiet) return;
        telling = setTimeout(() => {
          told.textContent = summary.textContent;
          if (anchor) history.replaceState(history.state, "", addressOf(anchor, controls, stateNow()));
        }, 400);
      });
    };

    hold(picture, controls, stateNow, choose, show);
    readByKeys(picture, (text) => (told.textContent = text));
    const events = controls.map(({ name }) => `change:${name}`);
    for (const event of events) model.on(event, change);
    let drawn = 0;
    const resize = new ResizeObserver(() => {
      if (picture.clientWidth === drawn) return;
      drawn = picture.clientWidth;
      show();
    });

    // whether the address speaks of this explorer first
    const obey = () => {
      const state = stateFromAddress(anchor, controls);
      if (state) choose(state);
      return state !== null && partsOf(location.hash)[0][0] === anchor.id;
    };
    const scroll = (behavior) => root.scrollIntoView({ behavior });
    const arrive = () => {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (obey()) scroll(still ? "instant" : "smooth");
    };
    if (anchor) {
      const words = "Copy a link to this view";
      const copy = element(element(root, "p", { class: "share" }), "button", { type: "button" }, words);
      copy.addEventListener("click", async () => {
        const address = addressOf(anchor, controls, stateNow());
        history.replaceState(history.state, "", address);
        try {
          await navigator.clipboard.writeText(address);
          told.textContent = copy.textContent = "Link copied";
        } catch {
          told.textContent = copy.textContent = "The address of this page is the link";
        }
        setTimeout(() => (copy.textContent = words), 4000);
      });
      addEventListener("hashchange", arrive);
      // at first the page above still grows: formulas, other explorers
      if (obey()) setTimeout(scroll, 500, "instant");
    }
    show();
    drawn = picture.clientWidth;
    resize.observe(picture);

    return () => {
      resize.disconnect();
      playing?.stop();
      clearTimeout(telling);
      removeEventListener("hashchange", arrive);
      for (const event of events) model.off(event, change);
    };
  }
  return { render };
}
