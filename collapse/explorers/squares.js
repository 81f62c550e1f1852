// Squares: the risk of one generation as an area. Every batch whose noise is in the fit is a square of side c / sqrt(size), every draw
// of rows a grey one; the real batch comes first.

const LAST = 50;

// Places squares, none of a side above 1, in columns of height 1 and in rows of columns, `across` wide: [x, y] of each.
function pack(squares, across) {
  let [x, y, wide, row] = [0, 0, 0, 0];
  return squares.map(({ side }) => {
    if (y + side > 1 + 1e-9) [x, y, wide] = [x + wide, 0, 0];
    if (x + Math.max(wide, side) > across + 1e-9) [x, y, wide, row] = [0, 0, 0, row + 1];
    wide = Math.max(wide, side);
    y += side;
    return [x, row + y - side];
  });
}

// Largest side of the unit square at which all these pictures fit: it stays as it is while the generation moves.
function unitFor(pictures, width, height) {
  const fits = (unit) => pictures.every((squares) => pack(squares, width / unit).every(([, y]) => (Math.floor(y + 1e-6) + 1) * unit <= height));
  let unit = Math.min(width, height);
  while (unit > 4 && !fits(unit)) unit -= 1;
  return unit;
}

function squaresOf({ real, synthetic, draws }) {
  const bySize = (areas, kind, family) => {
    const found = Array.from(areas, (area, g) => ({ side: Math.sqrt(area), newest: g === areas.length - 1, kind, family }));
    return found.filter(({ side }) => side > 0).sort((a, b) => b.side - a.side);
  };
  return [...bySize(real, "area", "real"), ...bySize(synthetic, "area"), ...bySize(draws, "draws")];
}

function drawSquares(svg, width, height, now, last) {
  const squares = squaresOf(now);
  const top = 24;
  const unit = unitFor([squares, squaresOf(last)], width, height - top);
  shape(svg, "text", { x: 4, y: 14 }, width < 400 ? "area: its part of the ratio" : "a square for each batch; its area is its part of the ratio");
  pack(squares, width / unit).forEach(([x, y], i) => {
    const { side, newest, kind, family } = squares[i];
    const gap = Math.min(1, (side * unit) / 8);
    const box = { class: kind + (newest && kind === "area" ? " newest" : ""), x: x * unit, y: top + y * unit, width: side * unit - gap, height: side * unit - gap };
    shape(svg, "rect", family ? { ...box, "data-family": family } : box);
  });
  describe(svg, `${times(squares.length, "square")}, the largest of side ${plain(Math.max(...squares.map(({ side }) => side)), 3)}.`);
}

export default explorer(({ state, parameters, picture, width }) => {
  const { workflow: name, generation } = state;
  const { plan, values } = follow(name, LAST, parameters);
  const now = values[generation - 1];
  const parts = origins(plan, generation);
  const sum = (part) => part.reduce((a, b) => a + b);
  const newest = parts.real[generation - 1] + parts.synthetic[generation - 1];
  const drawn = sum(parts.draws);

  const height = heightFor(width);
  const [[left, leftWidth], [right, rightWidth]] = panels(picture, width, [3, 2], height);
  drawSquares(left, leftWidth, height, parts, origins(plan, LAST));
  drawRatio(right, rightWidth, height, name, values, "generation", generation);
  return {
    family: familyOf(name),
    meaning: meaningOf(name, parameters),
    summary: [
      `At generation ${generation} the squares have a total area of `,
      ["ratio", now, plain(now, 5)],
      ", the risk ratio",
      ...(drawn > 0 ? [": ", ["batches", now - drawn, plain(now - drawn, 4)], " from batches and, in grey, ", ["draws", drawn, plain(drawn, 4)], " from draws of rows"] : []),
      `. Its newest batch is a square of side `,
      ["side", Math.sqrt(newest), plain(Math.sqrt(newest), 3)],
      ` and adds `,
      ["newest", newest, plain(newest, 3)],
      `. Your 1,000 rows are worth `,
      ["worth", 1000 / now, rowsWorth(now)],
      `; ${verdict(fate(name, parameters))}.`,
    ],
  };
}, { plays: "generation" });
