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

  // a formula that does not fit scrolls in its own box, and the keyboard reaches it there
  let marking;
  const mark = () => {
    marking = undefined;
    const formulas = [...document.querySelectorAll("mjx-container")];
    const wide = formulas.map((formula) => {
      const seen = formula.firstElementChild;
      return Math.max(seen.getBoundingClientRect().width, seen.scrollWidth) > formula.clientWidth + 1;
    });
    formulas.forEach((formula, i) => {
      formula.classList.toggle("wide", wide[i]);
      if (wide[i]) formula.tabIndex = 0;
      else formula.removeAttribute("tabindex");
    });
  };
  const soon = () => (marking ??= requestAnimationFrame(mark));
  addEventListener("load", () => {
    if (!window.MathJax?.startup) return;
    MathJax.startup.promise.then(soon);
    addEventListener("resize", soon);
    document.addEventListener("toggle", soon, true);
  });

  // a page that was opened as a file may not read the others, from which a search takes its excerpts
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
})();
