// The book's own few lines: a view for the projector, formulas wider than the page, search without a server.

(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search).get("view");
  if (asked) sessionStorage.setItem("view", asked);
  root.dataset.view = sessionStorage.getItem("view") ?? "page";

  // the button at the top of the page; the choice holds on the pages that are opened from this one
  window.toggleProjector = () => {
    root.dataset.view = root.dataset.view === "projector" ? "page" : "projector";
    sessionStorage.setItem("view", root.dataset.view);
    const address = new URL(location.href);
    address.searchParams.delete("view");
    history.replaceState(history.state, "", address);
  };

  // What is wider than its box. A formula that fits at four fifths of its size or more is set smaller; what does not scrolls in its own
  // box, where the keyboard reaches it, and fades towards the side where more is to come.
  const LEAST = 0.8;
  const BOXES = "article :is(div.math, mjx-container.wide, pre, .pst-scrollable-table-container, .cell_output, dt.sig)";
  const cue = (box) => {
    const more = box.scrollWidth - box.clientWidth;
    box.classList.toggle("scrolls", more > 1);
    box.classList.toggle("cut", more - box.scrollLeft > 1);
    box.classList.toggle("begun", more > 1 && box.scrollLeft > 1);
  };
  let marking;
  const mark = () => {
    marking = undefined;
    const formulas = [...document.querySelectorAll("article mjx-container")];
    for (const formula of formulas) {
      formula.style.fontSize = "";
      formula.classList.remove("wide", "scrolls", "cut", "begun");
      formula.removeAttribute("tabindex");
    }
    const shares = formulas.map((formula) => {
      const [seen, room] = [formula.firstElementChild, (formula.closest("div.math") ?? formula).clientWidth];
      return room / Math.max(seen.getBoundingClientRect().width, seen.scrollWidth);
    });
    formulas.forEach((formula, i) => {
      if (shares[i] > 0.99 || !shares[i]) return;
      if (shares[i] >= LEAST) formula.style.fontSize = `${Math.floor(99 * shares[i])}%`;
      else Object.assign(formula, { className: `${formula.className} wide`, tabIndex: 0 });
    });
    document.querySelectorAll(BOXES).forEach(cue);
  };
  const soon = () => (marking ??= requestAnimationFrame(mark));
  addEventListener("load", () => {
    (window.MathJax?.startup?.promise ?? Promise.resolve()).then(soon);
    addEventListener("resize", soon);
    document.addEventListener("toggle", soon, true);
    document.addEventListener("scroll", ({ target }) => target.matches?.(BOXES) && cue(target), { capture: true, passive: true });
  });

  // the home page's picture moves once by itself, unless the reader wants no motion or came for a view of his own
  addEventListener("load", () => {
    const host = document.querySelector(".opening + .cell");
    if (!host || location.hash || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const press = () => {
      const button = host.querySelector(".play");
      if (button) seen.disconnect();
      button?.click();
    };
    const seen = new MutationObserver(press);
    seen.observe(host, { childList: true, subtree: true });
    press();
  });

  // a page that was opened as a file may not read the others, from which a search takes its excerpts
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
})();
