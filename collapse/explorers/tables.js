// Tables that a reader types in: any workflow of a few fits, as a Plan holds it, and what it costs.
//
// A table's text has five parts, split by "*": where batches are drawn from, their rows, weights, shares kept and whether rows are
// drawn with replacement. Rows are split by "_", entries by spaces; an entry is a number as it was typed: 1/3, 0.25, 2.

const MOST = 16; // fits, and batches

// ---- fractions, exact

const gcd = (a, b) => (b === 0n ? a : gcd(b, a % b));
const reduced = (n, d) => {
  const common = gcd(n < 0n ? -n : n, d) || 1n;
  return { n: n / common, d: d / common };
};

// A number as one types it, or nothing.
export function fraction(text) {
  const told = /^(\d{1,12})(?:\.(\d{1,12}))?(?:\/(\d{1,12}))?$|^\.(\d{1,12})$/.exec(text.trim());
  if (!told) return undefined;
  const [whole, part] = told[4] === undefined ? [told[1], told[2] ?? ""] : ["0", told[4]];
  const below = BigInt(told[3] ?? 1) * 10n ** BigInt(part.length);
  return below === 0n ? undefined : reduced(BigInt(whole + part), below);
}

const value = ({ n, d }) => Number(n) / Number(d);
const written = ({ n, d }) => (d === 1n ? `${n}` : `${n}/${d}`);
const add = (a, b) => reduced(a.n * b.d + b.n * a.d, a.d * b.d);
const less = (a, b) => reduced(a.n * b.d - b.n * a.d, a.d * b.d);
const over = (a, b) => reduced(a.n * b.d, a.d * b.n);
const by = (a, b) => reduced(a.n * b.n, a.d * b.d);
const [NONE, ONE] = [{ n: 0n, d: 1n }, { n: 1n, d: 1n }];
const sumOf = (row) => row.reduce(add, NONE);

// ---- from text to tables

const split = (text) => {
  const [source = "", size = "", weight = "", kept = "1", replace = "0"] = text.split("*");
  const entries = (row) => row.split(" ");
  const rows = weight.split("_").map(entries);
  return { source: entries(source), size: entries(size), weight: rows, kept: kept === "1" ? null : kept.split("_").map(entries), replace: replace === "1" };
};

const joined = ({ source, size, weight, kept, replace }) => {
  const rows = (table) => table.map((row) => row.map((entry) => entry.trim() || "0").join(" ")).join("_");
  const whole = !kept || kept.every((row) => row.every((entry) => entry.trim() === "1"));
  return [source.join(" "), size.map((entry) => entry.trim()).join(" "), rows(weight), whole ? "1" : rows(kept), replace ? "1" : "0"].join("*");
};

// What is wrong with the tables, in words, and with which fit's weights where that can be put right; nothing where they are a workflow.
export function wrongIn({ source, size, weight, kept }) {
  const [B, G] = [source.length, weight.length];
  if (B < 1 || G < 1 || B > MOST || G > MOST) return { words: `There may be 1 to ${MOST} fits and as many batches.` };
  if (size.length !== B || weight.some((row) => row.length !== B) || (kept && (kept.length !== G || kept.some((row) => row.length !== B)))) return { words: "Each row must have an entry for each batch." };
  for (let b = 0; b < B; b++) {
    if (!/^\d+$/.test(source[b]) || Number(source[b]) > G) return { words: `Batch ${b + 1} must be drawn from the real world or from one of the fits 1 to ${G}.` };
    const rows = fraction(size[b]);
    if (!rows || rows.n === 0n) return { words: `The rows of batch ${b + 1} must be a number above 0, such as 1, 1/2 or 2.5, in units of n; they are “${size[b]}”.` };
  }
  for (let g = 0; g < G; g++) {
    for (let b = 0; b < B; b++) {
      const share = fraction(weight[g][b]);
      if (!share) return { words: `Fit ${g + 1}, batch ${b + 1}: a weight is a number from 0 to 1, such as 1/3 or 0.25, and not “${weight[g][b]}”.` };
      if (share.n > 0n && Number(source[b]) > g) return { words: `Fit ${g + 1} cannot read batch ${b + 1}: it is drawn from fit ${source[b]}, which comes no earlier.` };
      const read = kept && fraction(kept[g][b]);
      if (kept && (!read || read.n === 0n || read.n > read.d)) return { words: `Fit ${g + 1}, batch ${b + 1}: a share kept is above 0 and at most 1, and not “${kept[g][b]}”.` };
    }
    const total = sumOf(weight[g].map(fraction));
    if (total.n !== total.d) return { words: `The weights of fit ${g + 1} must add up to 1; they add up to ${written(total)}.`, fit: g };
  }
  return undefined;
}

// The plan of a table's text, or nothing.
export function planOf(text) {
  const told = split(text);
  if (wrongIn(told)) return undefined;
  const numbers = (row) => row.map((entry) => value(fraction(entry)));
  return dense({
    source: told.source.map(Number),
    size: numbers(told.size),
    weight: told.weight.map(numbers),
    kept: told.kept?.map(numbers),
    replace: told.replace,
  });
}

READERS.tables = (text) => (planOf(text) ? text : undefined);
CAPS.fit = ({ table }) => split(table).weight.length;

// A row whose entry `fixed` stays, the others in proportion, so that they add up to 1; all in proportion where that cannot be.
export function mended(row, fixed, may) {
  const shares = row.map((entry) => fraction(entry) ?? NONE);
  const held = fixed === undefined || shares[fixed].n > shares[fixed].d ? NONE : shares[fixed];
  const stays = (b) => b === fixed && held !== NONE;
  const others = sumOf(shares.map((share, b) => (stays(b) ? NONE : share)));
  const left = less(ONE, held);
  if (others.n > 0n) return shares.map((share, b) => written(stays(b) ? share : by(share, over(left, others))));
  const first = row.findIndex((_, b) => may(b) && !stays(b));
  if (first < 0) return row.map((_, b) => (b === fixed ? "1" : "0"));
  return shares.map((share, b) => written(b === first ? left : stays(b) ? share : NONE));
}

// ---- as Python

export function asPython(text) {
  const { source, size, weight, kept, replace } = split(text);
  let exact = false;
  const entry = (one) => {
    const { n, d } = fraction(one);
    if (d !== 1n) exact = true;
    return d === 1n ? `${n}` : `F(${n}, ${d})`;
  };
  const row = (entries) => `[${entries.map(entry).join(", ")}]`;
  const table = (rows) => `[\n${rows.map((one) => `        ${row(one)},\n`).join("")}    ]`;
  const parts = [`    source=[${source.join(", ")}],`, `    size=${row(size)},`, `    weight=${table(weight)},`];
  if (kept) parts.push(`    kept=${table(kept)},`);
  if (replace) parts.push("    replace=True,");
  const first = exact ? ["from fractions import Fraction as F", "import collapse", ""] : ["import collapse", ""];
  return [...first, "plan = collapse.Plan(", ...parts, ")", "print(plan)", "print(collapse.derive(plan).ratio)", ""].join("\n");
}

// ---- the editor

const STEPS = 20n; // a drag of a cell's fill stops at twentieths

KINDS.tables = (panel, id, { name, label, starts }, put) => {
  panel.classList.add("tables");
  const keeper = element(panel, "input", { type: "hidden", name });
  const bar = element(panel, "div", { class: "bar" });
  element(bar, "label", { for: `${id}-start` }, label);
  const start = element(bar, "select", { id: `${id}-start`, ...OWN_KEYS });
  element(start, "option", { value: "" }, "as below");
  for (const [called_, text] of starts) element(start, "option", { value: text }, called(called_));
  start.addEventListener("change", () => start.value && put(start.value));
  const act = (words, change) => element(bar, "button", { type: "button" }, words).addEventListener("click", () => edit(change));
  const box = element(panel, "div", { class: "cells", tabindex: 0, role: "region", "aria-label": "The tables" });
  const refused = element(panel, "p", { class: "refused", role: "alert" });
  const ticks = element(panel, "p", { class: "ticks" });
  const tick = (words, change) => {
    const one = element(ticks, "label");
    const input = element(one, "input", { type: "checkbox", ...OWN_KEYS });
    one.append(` ${words}`);
    input.addEventListener("change", () => edit((told) => change(told, input.checked)));
    return input;
  };
  let draft; // what stands in the cells
  let cells = [];
  let changed; // [fit, batch] of the weight that was typed last
  const may = (g) => (b) => Number(draft.source[b]) <= g;

  // A change of the draft; what is a workflow is told, what is not is refused in words.
  const edit = (change) => {
    change(draft);
    settle();
  };
  const settle = () => {
    fillCells();
    const wrong = wrongIn(draft);
    refused.replaceChildren();
    panel.classList.toggle("stale", Boolean(wrong));
    if (!wrong) return put(joined(draft));
    refused.append(wrong.words, " ");
    if (wrong.fit === undefined) return undefined;
    const fixed = changed?.[0] === wrong.fit ? changed[1] : undefined;
    element(refused, "button", { type: "button" }, "Let the others make it 1").addEventListener("click", () => edit((told) => (told.weight[wrong.fit] = mended(told.weight[wrong.fit], fixed, may(wrong.fit)))));
    return undefined;
  };

  act("+ fit", ({ source, size, weight, kept }) => {
    const G = weight.length;
    if (G === MOST || source.length === MOST) return;
    // it reads as the last one did, the newest batch in the place of the one before
    const last = weight[G - 1].map((entry, b) => [Number(source[b]), entry, b]).filter(([, entry]) => (fraction(entry)?.n ?? 0n) > 0n);
    const newest = last.reduce((best, one) => (one[0] >= best[0] ? one : best), [-1, "1", 0]);
    source.push(`${G}`);
    size.push("1");
    for (const row of weight) row.push("0");
    weight.push(weight[G - 1].map((entry, b) => (b === source.length - 1 ? newest[1] : b === newest[2] && newest[0] > 0 ? "0" : entry)));
    if (newest[0] <= 0) weight[G] = mended(weight[G].map((entry, b) => (b === source.length - 1 ? "1" : entry)), undefined, () => true);
    if (kept) {
      for (const row of kept) row.push("1");
      kept.push(source.map(() => "1"));
    }
  });
  act("− fit", ({ source, size, weight, kept }) => {
    const G = weight.length;
    if (G === 1) return;
    const drop = (row) => row.filter((_, b) => Number(source[b]) < G - 1 || source[b] === "0");
    for (const table of [weight, kept].filter(Boolean)) table.splice(0, G, ...table.slice(0, -1).map(drop));
    size.splice(0, size.length, ...drop(size));
    source.splice(0, source.length, ...drop([...source]));
  });
  act("+ real batch", ({ source, size, weight, kept }) => {
    if (source.length === MOST) return;
    source.push("0");
    size.push("1");
    for (const row of weight) row.push("0");
    for (const row of kept ?? []) row.push("1");
  });
  const keeps = tick("fits read a part of a batch", (told, on) => (told.kept = on ? told.weight.map((row) => row.map(() => "1")) : null));
  const replaces = tick("rows are drawn with replacement", (told, on) => (told.replace = on));

  // An entry: typed, or its fill drawn to the side.
  const cell = (row, words, read, write, filled) => {
    const place = element(element(row, "td"), "input", { type: "text", inputmode: "decimal", spellcheck: false, autocomplete: "off", "aria-label": words, ...OWN_KEYS });
    place.addEventListener("input", () => edit(() => write(place.value)));
    if (filled) {
      let from;
      place.classList.add("filled");
      place.addEventListener("pointerdown", ({ button, clientX, pointerId }) => {
        if (!button && !place.disabled) from = [clientX, pointerId];
      });
      place.addEventListener("pointermove", (event) => {
        if (!from || event.pointerId !== from[1] || (Math.abs(event.clientX - from[0]) < 5 && !place.matches(".drawn"))) return;
        const { left, width } = place.getBoundingClientRect();
        place.classList.add("drawn");
        place.setPointerCapture(event.pointerId);
        const share = Math.max(0, Math.min(1, (event.clientX - left) / width));
        edit(() => filled(written(reduced(BigInt(Math.round(share * Number(STEPS))), STEPS))));
      });
      const end = () => {
        if (place.matches(".drawn")) place.blur();
        place.classList.remove("drawn");
        from = undefined;
      };
      for (const type of ["pointerup", "pointercancel"]) place.addEventListener(type, end);
    }
    cells.push({ place, read });
  };

  const build = () => {
    cells = [];
    box.replaceChildren();
    const table = element(box, "table");
    const head = element(table, "thead");
    const line = (parent, words) => {
      const row = element(parent, "tr");
      element(row, "th", { scope: "row" }, words);
      return row;
    };
    const [G, B] = [draft.weight.length, draft.source.length];
    const top = line(head, "batch");
    for (let b = 0; b < B; b++) element(top, "th", { scope: "col" }, `${b + 1}`);
    const from = line(head, "drawn from");
    for (let b = 0; b < B; b++) {
      const place = element(element(from, "td"), "select", { "aria-label": `Batch ${b + 1} is drawn from`, ...OWN_KEYS });
      for (let s = 0; s <= G; s++) element(place, "option", { value: s }, s ? `fit ${s}` : "real");
      place.addEventListener("change", () => edit((told) => (told.source[b] = place.value)));
      cells.push({ place, read: () => draft.source[b] });
    }
    const rows = line(head, "rows, in n");
    for (let b = 0; b < B; b++) cell(rows, `Rows of batch ${b + 1}, in n`, () => draft.size[b], (text) => (draft.size[b] = text));
    const body = element(table, "tbody");
    for (let g = 0; g < G; g++) {
      const row = line(body, `fit ${g + 1}`);
      for (let b = 0; b < B; b++) {
        const write = (text) => {
          draft.weight[g][b] = text;
          changed = [g, b];
        };
        cell(row, `Weight of batch ${b + 1} in fit ${g + 1}`, () => draft.weight[g][b], write, (text) => {
          write(text);
          draft.weight[g] = mended(draft.weight[g], b, may(g));
        });
        cells.at(-1).able = () => may(g)(b) || (fraction(draft.weight[g][b])?.n ?? 1n) > 0n;
      }
    }
    if (!draft.kept) return;
    const below = element(table, "tbody");
    for (let g = 0; g < G; g++) {
      const row = line(below, `fit ${g + 1} keeps`);
      for (let b = 0; b < B; b++) {
        cell(row, `Share of batch ${b + 1} that fit ${g + 1} reads`, () => draft.kept[g][b], (text) => (draft.kept[g][b] = text), (text) => (draft.kept[g][b] = text === "0" ? `1/${STEPS}` : text));
        cells.at(-1).able = () => may(g)(b);
      }
    }
  };

  const fillCells = () => {
    const shape_ = `${draft.weight.length} ${draft.source.length} ${Boolean(draft.kept)}`;
    if (box.dataset.shape !== shape_) {
      box.dataset.shape = shape_;
      build();
    }
    for (const { place, read, able } of cells) {
      const text = read();
      if (place.value !== text && place !== document.activeElement) place.value = text;
      else if (place.value !== text && place.matches(".drawn")) place.value = text;
      if (place.matches(".filled")) {
        const share = fraction(text);
        place.style.setProperty("--fill", `${share ? Math.min(100, 100 * value(share)) : 0}%`);
        place.disabled = !able();
      }
    }
    keeps.checked = Boolean(draft.kept);
    replaces.checked = draft.replace;
  };

  return (text) => {
    keeper.value = text;
    if (!draft || joined(draft) !== text) {
      draft = split(text);
      refused.replaceChildren();
      panel.classList.remove("stale");
      start.value = starts.find(([, known]) => known === text)?.[1] ?? "";
    }
    fillCells();
  };
};

// ---- what it costs

function drawParts(svg, width, height, plan, fit, unit, { batches, fits }, noise) {
  const parts = Array.from(batches, (c, b) => (c * c) / plan.size[b] / unit);
  const draws = noise.reduce((sum, one, g) => sum + fits[g] ** 2 * one, 0) / unit;
  const bars = [...parts.map((part, b) => [part, `${b + 1}`]), ...(draws > 1e-12 ? [[draws, "draws"]] : [])];
  const highest = bars.reduce((most, [part]) => Math.max(most, part), 0);
  const to = steady(svg, "part", [0.1, 0.2, 0.5, 1, 2, 5, 10].find((top) => top >= highest * 0.999) ?? highest);
  const most = Math.ceil(bars.length / (width < 260 ? 6 : 12));
  const at = bars.map((_, i) => i + 1).filter((i) => (i - 1) % most === 0 || i > parts.length);
  const x = { from: 0.5, to: bars.length + 0.5, title: draws > 1e-12 ? "batch, and draws of rows" : "batch", at, say: (i) => bars[i - 1][1] };
  const frame = axes(svg, width, height, x, { from: 0, to, title: "its part of the ratio", say: (v) => plain(v, 3), most: 4 }, { left: 40 });
  const wide = (frame.right - frame.left) / bars.length;
  bars.forEach(([part], i) => {
    const kind = i === parts.length ? { class: "draws" } : plan.source[i] === 0 ? { class: "area", "data-family": "real" } : { class: "area", "data-family": "augment" };
    if (part > 0) shape(svg, "rect", { ...kind, x: frame.left + (i + 0.1) * wide, width: 0.8 * wide, y: frame.y(part), height: frame.bottom - frame.y(part) });
  });
  const from = (b) => (plan.source[b] === 0 ? "real" : `from fit ${plan.source[b]}`);
  reads(svg, frame, bars.keys(), (i) => ({
    x: frame.left + (i + 0.5) * wide,
    text: i === parts.length ? `draws of rows: ${plain(draws, 4)}` : `batch ${i + 1}, ${from(i)}: c = ${plain(batches[i], 4)}, part ${plain(parts[i], 4)}`,
    dots: [],
  }));
  describe(svg, `Parts of the ratio of fit ${fit}: ${bars.map(([part, what]) => `${what} ${plain(part, 3)}`).join(", ")}.`);
  return { parts, draws };
}

export default explorer(({ state: { table, fit }, picture, width }) => {
  const plan = planOf(table);
  const values = ratio(plan);
  const first = reference(plan);
  const G = values.length;
  const height = heightFor(width);
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [3, 2], height);
  drawRatio(left, leftWidth, height, "your tables", values, "fit", fit);
  const { parts, draws } = drawParts(right, rightWidth, height, plan, fit, first, contributions(plan, fit - 1), subsamplingNoise(plan));
  const real = parts.reduce((sum, part, b) => sum + (plan.source[b] === 0 ? part : 0), 0);
  const synthetic = parts.reduce((sum, part) => sum + part, 0) - real;
  const now = values[fit - 1];
  const doubled = values.findIndex((one) => one >= 2) + 1;
  const said = (share) => percent(Number((share / now).toFixed(3)));
  const step = G > 1 ? values[G - 1] - values[G - 2] : 0;
  return {
    family: "augment",
    meaning: "Type a fraction or a number into a cell, or draw its fill to the side. A row of weights adds up to 1; a cell that no fit can read is shut.",
    summary: [
      `At fit ${fit} your 1,000 rows are worth `, ["worth", 1000 / (first * now), rowsWorth(first * now)], ": for many rows the risk ratio is ", ["ratio", now, plain(now, 6)],
      `, of which ${said(real)} is from real batches (`, ["real", real, plain(real, 4)], `), ${said(synthetic)} from synthetic ones (`, ["synthetic", synthetic, plain(synthetic, 4)], ")",
      ...(draws > 1e-12 ? [` and ${said(draws)} from draws of rows (`, ["draws", draws, plain(draws, 4)], ")"] : []),
      doubled ? `. The risk has doubled by fit ${doubled}` : `. The risk has not doubled by fit ${G}`,
      ...(G > 1 ? ["; the last fit changes it by ", ["step", step, signed(step, 3)]] : []),
      ".",
    ],
    python: asPython(table),
  };
}, { plays: "fit" });
