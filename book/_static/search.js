// The search: pages ranked by title, sections and text. It reads sections.js, which the build writes; it asks no server, and works
// where the book was opened as a file.

(() => {
  // ---- words

  // What is one thing to a reader though it has several names: who asks for one finds the others too.
  const ALIKE = [
    ["llm", "large language model", "language model", "gpt", "chatbot"],
    ["retention", "memory", "keep", "storage"],
    ["mle", "maximum likelihood"],
    ["glm", "generalised linear model"],
    ["ols", "least squares"],
    ["clt", "central limit theorem"],
    ["model collapse", "autophagy", "self-consuming", "recursive training"],
    ["synthetic data", "generated data", "synthetic rows", "model output"],
    ["basel", "pi^2/6"],
    ["golden ratio", "golden section"],
    ["separation", "separable", "no estimate"],
    ["cost", "price", "bill"],
    ["curation", "filter", "rlhf", "human preference"],
    ["ecosystem", "several models", "many models"],
    ["log-loss", "cross entropy", "logloss"],
    ["rerun", "reproduce", "re-execute"],
    ["install", "pip"],
    ["tabular", "own data", "csv"],
    ["monitor", "audit", "logged losses"],
    ["bradley-terry", "league table", "ranking"],
  ];
  // pages that point to others come after those
  const LESS = [[/bibliography|lists|crosswalk|status|notation|glossary|reproduce|teach/, 0.5], [/book\/api/, 0.25]];

  const GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon phi chi psi omega".split(" ");
  const SIGNS = { "√": "sqrt", "∞": "infinity", "ℓ": "l", "≤": "<=", "≥": ">=", "∑": "sum", "’": "'", "−": "-" };
  const spelled = (sign) => {
    const place = sign.toLowerCase().codePointAt(0) - 0x3b1;
    return SIGNS[sign] ?? GREEK[place] ?? sign;
  };
  // signs as one would type them: π² is pi2, é is e, v₂ is v2
  const folded = (text) => text.replace(/[^\x20-\x7e]/gu, spelled).normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const porter = new Stemmer();
  const known = new Map();
  const stemmed = (word) => {
    if (!known.has(word)) known.set(word, porter.stemWord(word.replace(/is(e|es|ed|ing|ation|ations)$/, "iz$1").replace(/our(s|al|ally)?$/, "or$1")));
    return known.get(word);
  };
  const unread = new Set([...stopwords, "i", "my", "me", "do", "does", "how", "what", "which", "when", "where", "why", "can", "should", "must", "much", "many", "we", "you", "your", "s", "its"]);

  // The words of a text, stemmed; what is written together with signs, a formula or a name, is one word too.
  const wordsIn = (text) =>
    folded(text).split(/[\s,;:!?"“”()[\]]+/).flatMap((piece) => {
      const parts = piece.match(/[a-z0-9]+/g) ?? [];
      const joined = parts.length > 1 && parts.length < 7 && !/[a-z]{2}\.[a-z]{2}|…/.test(piece) ? [parts.join("")] : [];
      return [...joined, ...parts.map(stemmed)];
    });
  // where a kind's names begin: its first word, what must follow, and which kind it is
  const begins = new Map();
  const wordsOf = ALIKE.map(() => []);
  ALIKE.forEach((names, kind) => names.forEach((name) => {
    const parts = folded(name).match(/[a-z0-9]+/g).map(stemmed);
    const whole = /[\^/]/.test(name) ? [parts.join("")] : parts;
    wordsOf[kind].push(...whole);
    begins.set(whole[0], [...(begins.get(whole[0]) ?? []), [whole, `kind ${kind}`]]);
  }));
  const withKinds = (words) => {
    const found = [];
    words.forEach((word, at) => {
      for (const [name, kind] of begins.get(word) ?? []) if (name.every((part, i) => words[at + i] === part)) found.push([kind, at, name.length]);
    });
    return found;
  };

  // ---- the book

  const counted = (words) => {
    const counts = new Map();
    for (const word of [...words, ...withKinds(words).map(([kind]) => kind)]) counts.set(word, (counts.get(word) ?? 0) + 1);
    return counts;
  };
  const pages = Object.entries(window.collapseSections).map(([address, [teaches, ...sections]]) => {
    const parts = sections.map(([id, title, text]) => {
      const words = wordsIn(text);
      // a name of the package is asked for by its last part
      const name = title === id ? title.split(".").at(-1) : title;
      return { id, title, text, words: counted(words), named: counted(wordsIn(name)), name: folded(name).replace(/[^a-z0-9]/g, ""), length: words.length };
    });
    const all = new Map();
    for (const { words } of parts) for (const [word, count] of words) all.set(word, (all.get(word) ?? 0) + count);
    const less = LESS.find(([which]) => which.test(address))?.[1] ?? 1;
    return { address, title: sections[0]?.[1] ?? "", taught: counted(wordsIn(teaches)), parts, words: all, length: parts.reduce((sum, { length }) => sum + length, 0), less };
  }).filter(({ title }) => title);
  const mean = pages.reduce((sum, { length }) => sum + length, 0) / pages.length;
  const meanPart = mean / (pages.reduce((sum, { parts }) => sum + parts.length, 0) / pages.length);
  const rarity = (word) => {
    const holding = pages.filter(({ words, parts }) => words.has(word) || parts.some(({ named }) => named.has(word))).length;
    return Math.log(1 + (pages.length - holding + 0.5) / (holding + 0.5));
  };

  // ---- a question

  // What is asked for: words, each with the words that stand for it, and how much each of these counts.
  const asked = (question) => {
    const every = new Set(pages.flatMap(({ words, parts }) => [...words.keys(), ...parts.flatMap(({ named }) => [...named.keys()])]));
    const pieces = folded(question).split(/[\s,;:!?"“”()[\]]+/).filter(Boolean);
    const words = pieces.flatMap((piece) => {
      const parts = piece.match(/[a-z0-9]+/g) ?? [];
      return parts.length > 1 && every.has(parts.join("")) ? [parts.join("")] : parts.map(stemmed);
    });
    const kinds = withKinds(words);
    const terms = words.map((word, at) => {
      const alike = new Map([[word, 1]]);
      for (const [kind, from, length] of kinds) if (at >= from && at < from + length) alike.set(kind, 0.9);
      // what is not known, or is being typed, stands for what begins so
      if (word.length > 2 && !every.has(word) && alike.size === 1) {
        for (const other of every) if (other.startsWith(word)) alike.set(other, 0.7);
      }
      return { word, alike };
    });
    const read = terms.filter(({ word }) => !unread.has(word));
    return read.length ? read : terms;
  };
  const K = 1.2;
  // how often, given the length; what is short is not the better for it
  const often = (count, length, usual) => (count ? (count * (K + 1)) / (count + K * (0.4 + 0.6 * Math.max(1, length / usual))) : 0);

  const search = (question) => {
    const terms = asked(question).map(({ word, alike }) => ({ word, alike: [...alike].map(([name, share]) => [name, share * rarity(name)]) }));
    const whole = folded(question.replace(/.*\./, "")).replace(/[^a-z0-9]/g, "");
    const coded = /[_.]|[a-z][A-Z]/.test(question);
    const scored = pages.map((page) => {
      const [first, ...rest] = page.parts;
      let [sum, hit] = [0, 0];
      for (const { alike } of terms) {
        const best = Math.max(...alike.map(([name, value]) => {
          const titled = first.named.has(name) ? 6 / first.named.size ** 0.35 : 0;
          const headed = Math.max(0, ...rest.map(({ named, id, title }) => (named.has(name) ? (title === id ? 1 : 3) / Math.sqrt(1 + named.size) : 0)));
          return value * (titled + headed + (page.taught.has(name) ? 2 : 0) + often(page.words.get(name), page.length, mean));
        }));
        sum += best;
        hit += best > 0;
      }
      if (!hit) return { page, score: 0 };
      const found = page.parts.map((part) => {
        const values = terms.map(({ alike }) => Math.max(...alike.map(([name, value]) => value * ((part.named.has(name) ? 3 / Math.sqrt(part.named.size) : 0) + often(part.words.get(name), part.length, meanPart)))));
        const there = values.filter((value) => value > 0).length;
        return { part, score: values.reduce((total, value) => total + value, 0) * (there / terms.length) ** 2 };
      });
      found.sort((a, b) => b.score - a.score);
      // all words in one section, more than all somewhere on the page; a name of the package, as it is written
      const exact = page.parts.some(({ id, title, name }) => title === id && name === whole && (coded || id === `collapse.${question.trim()}`)) ? 12 : 0;
      return { page, score: page.less * (sum * (hit / terms.length) ** 2 + 0.6 * found[0].score) + exact, sections: found.filter(({ score }) => score > 0.5 * found[0].score).slice(0, 3).map(({ part }) => part) };
    });
    const best = Math.max(...scored.map(({ score }) => score));
    return scored.filter(({ score }) => score > 0.1 * best).sort((a, b) => b.score - a.score);
  };
  window.collapseSearch = (question) => search(question).map(({ page, score }) => [page.address, score]);

  // ---- what is shown

  const MOST = 15;
  const make = (parent, tag, attributes = {}, text = "") => parent.appendChild(Object.assign(document.createElement(tag), attributes, { textContent: text }));

  // Some words around the place where most of what was asked for stands, and these in bold.
  const excerpt = (place, text, terms) => {
    const names = new Set(terms.flatMap(({ word, alike }) => [word, ...alike.keys()]));
    const kinds = [...names].filter((name) => name.startsWith("kind ")).flatMap((name) => wordsOf[name.slice(5)]);
    const wanted = new Set([...names, ...kinds]);
    const words = text.split(/(?<=\s)/);
    const right = words.map((word) => wordsIn(word).some((one) => wanted.has(one)));
    let [best, from] = [-1, 0];
    for (let at = 0; at < words.length; at += 4) {
      const count = new Set(words.slice(at, at + 28).filter((_, i) => right[at + i]).map(folded)).size;
      if (count > best) [best, from] = [count, at];
    }
    from = Math.max(0, Math.min(from, words.length - 32));
    if (from) place.append("… ");
    words.slice(from, from + 32).forEach((word, i) => (right[from + i] ? make(place, "strong", {}, word) : place.append(word)));
    if (from + 32 < words.length) place.append("…");
  };

  const show = (question) => {
    const host = document.getElementById("search-results");
    host.replaceChildren();
    if (!question.trim()) return;
    const [terms, hits] = [asked(question), search(question)];
    const count = hits.length === 1 ? "One page found" : `${hits.length} pages found`;
    const words = hits.length ? `${count}${hits.length > MOST ? `; here are the best ${MOST}` : ""}.` : "Nothing found: another word may help.";
    make(host, "p", { className: "search-summary", role: "status" }, words);
    const list = make(host, "ul", { className: "search" });
    const marked = terms.map(({ word }) => word).filter((word) => !word.startsWith("kind"));
    const to = (address, id) => `${address}?highlight=${encodeURIComponent(marked.join(" "))}${id ? `#${id}` : ""}`;
    for (const { page, sections } of hits.slice(0, MOST)) {
      const item = make(list, "li");
      make(item, "a", { href: to(page.address, "") }, page.title);
      const inner = sections.filter(({ id }) => id);
      if (inner.length) {
        const line = make(item, "p", { className: "sections" });
        inner.forEach(({ id, title }, i) => {
          if (i) line.append(" · ");
          make(line, "a", { href: to(page.address, id) }, title);
        });
      }
      if (sections[0].text) excerpt(make(item, "p", { className: "context" }), sections[0].text, terms);
    }
  };

  addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector(".bd-search-container form");
    const field = form.querySelector("input");
    const given = new URLSearchParams(location.search).get("q");
    if (given) field.value = given;
    show(field.value);
    field.addEventListener("input", () => show(field.value));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const address = new URL(location.href);
      address.searchParams.set("q", field.value);
      history.replaceState(history.state, "", address);
    });
  });
})();
