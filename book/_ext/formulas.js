// Formulas as boxes of glyphs with MathML beside them for readers of the screen, and the one sheet of styles that all of them need.
// In: MathJax's folder as an argument; a list of [TeX, whether it is a display] as JSON. Out: {formulas: [HTML], styles}.
const [, , folder] = process.argv;
const { readFileSync, writeFileSync } = require("node:fs");
const read = (path) => JSON.parse(readFileSync(path, "utf-8"));
const main = async () => {
  const MathJax = await require(`${folder}/node-main.js`).init({
    loader: { paths: { mathjax: folder }, load: ["adaptors/liteDOM", "core", "input/tex", "output/chtml", "a11y/assistive-mml"] },
    chtml: { fontURL: "mathjax/output/chtml/fonts/woff-v2" },
    options: { enableAssistiveMml: true },
  });
  const { adaptor } = MathJax.startup;
  const formulas = read(0).map(([tex, display]) => adaptor.outerHTML(MathJax.tex2chtml(tex, { display })));
  writeFileSync(1, JSON.stringify({ formulas, styles: adaptor.textContent(MathJax.chtmlStylesheet()) }));
};
main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
