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

  // What is wider than its box. A formula that fits at four fifths of its size or more is set smaller, one in running text is broken
  // before a relation or a sign; what fits in neither way scrolls in its own box, where the keyboard reaches it, and fades towards the
  // side where more is to come.
  const LEAST = 0.8;
  const BOXES = "article :is(div.math, mjx-container.wide, pre, .pst-scrollable-table-container, .cell_output, .output, dt.sig)";
  const SIGNS = ["2B", "2212", "3C", "3D", "3E", "2192", "2248", "2264", "2265"].map((code) => `.mjx-c${code}`).join();
  const cue = (box) => {
    const more = box.scrollWidth - box.clientWidth;
    box.classList.toggle("scrolls", more > 1);
    box.classList.toggle("cut", more - box.scrollLeft > 1);
    box.classList.toggle("begun", more > 1 && box.scrollLeft > 1);
  };
  const breaks = (formula, room) => {
    const math = formula.querySelector("mjx-math");
    for (const sign of math.querySelectorAll(":scope > mjx-mo")) {
      if (sign.querySelector(SIGNS)) sign.before(document.createElement("wbr"));
    }
    formula.classList.add("broken");
    return Math.max(...[...math.getClientRects()].map(({ width }) => width)) <= room + 1;
  };
  const mark = () => {
    marking = undefined;
    const formulas = [...document.querySelectorAll("article mjx-container:not(.broken)")];
    for (const formula of formulas) {
      formula.style.fontSize = "";
      formula.classList.remove("wide", "scrolls", "cut", "begun");
      formula.removeAttribute("tabindex");
    }
    // a comma that is tied to a formula needs room too
    const rooms = formulas.map((formula) => formula.closest("div, p, li, dd, dt, td, th, figcaption, h1, h2, h3").clientWidth - (formula.closest(".tied") ? 8 : 0));
    const shares = formulas.map(({ firstElementChild: seen }, i) => rooms[i] / Math.max(seen.getBoundingClientRect().width, seen.scrollWidth));
    formulas.forEach((formula, i) => {
      if (!shares[i] || shares[i] >= 1) return;
      if (shares[i] >= LEAST) formula.style.fontSize = `${Math.floor(97 * shares[i])}%`;
      else if (formula.closest("div.math, td, th") || !breaks(formula, rooms[i])) {
        formula.classList.remove("broken");
        formula.classList.add("wide");
        formula.tabIndex = 0;
      }
    });
    // a table that is too wide may be so for a formula that can be broken
    for (const box of document.querySelectorAll("article :is(.pst-scrollable-table-container, .cell_output)")) {
      if (box.scrollWidth <= box.clientWidth + 1) continue;
      for (const formula of box.querySelectorAll("td mjx-container:not(.broken)")) {
        if (formula.firstElementChild.offsetWidth > box.clientWidth / 4) breaks(formula, 0);
      }
    }
    document.querySelectorAll(BOXES).forEach(cue);
  };
  let marking;
  const soon = () => (marking ??= requestAnimationFrame(mark));
  addEventListener("load", () => {
    soon();
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

  // What a theorem, an equation or a reference says, beside a link to it: for the pointer and for the keyboard. Escape closes it.
  const site = () => new URL(root.dataset.content_root ?? "./", location.href).href;
  const told = () => (window.collapsePreviews ? Promise.resolve() : new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: `${site()}_static/previews.js`, onload: resolve, onerror: reject });
    document.head.append(script);
  }));
  let [preview, from, opening, closing] = [];
  const close = () => {
    clearTimeout(opening);
    preview?.remove();
    from?.removeAttribute("aria-describedby");
    [preview, from] = [];
  };
  const open = async (link) => {
    await told();
    const { pathname, hash } = new URL(link.href);
    const text = window.collapsePreviews[decodeURIComponent(pathname.slice(new URL(site()).pathname.length) + hash)];
    if (!text || from === link || !link.matches(":hover, :focus")) return;
    close();
    from = link;
    link.removeAttribute("title"); // else two are shown
    preview = Object.assign(document.createElement("div"), { className: "preview", id: "preview", innerHTML: text });
    preview.setAttribute("role", "tooltip");
    link.setAttribute("aria-describedby", "preview");
    document.querySelector(".bd-article").append(preview);
    preview.addEventListener("mouseenter", () => clearTimeout(closing));
    preview.addEventListener("mouseleave", later);
    const [at, column] = [link.getBoundingClientRect(), preview.offsetParent.getBoundingClientRect()];
    const left = Math.min(at.left, innerWidth - preview.offsetWidth - 16) - column.left;
    Object.assign(preview.style, { left: `${Math.max(left, 0)}px`, top: `${at.bottom - column.top + 4}px` });
  };
  const later = () => {
    clearTimeout(opening);
    clearTimeout(closing);
    closing = setTimeout(close, 200);
  };
  const linked = ({ target }) => target.closest?.('article a.reference.internal[href*="#"]');
  const ask = (wait) => (event) => {
    const link = linked(event);
    if (!link || !matchMedia("(hover: hover)").matches) return;
    clearTimeout(closing);
    clearTimeout(opening);
    opening = setTimeout(open, wait, link);
  };
  document.addEventListener("mouseover", ask(200));
  document.addEventListener("focusin", ask(0));
  for (const left of ["mouseout", "focusout"]) document.addEventListener(left, (event) => linked(event) && later());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && close());

  // On paper: light whatever the theme, proofs and solutions unfolded.
  const onPaper = matchMedia("print");
  let before;
  const print = () => {
    if (before) return;
    before = { theme: root.dataset.theme, folded: [...document.querySelectorAll("article :is(details.sd-dropdown, .tag_hide-cell details):not([open])")] };
    root.dataset.theme = "light";
    for (const folded of before.folded) folded.open = true;
    for (const image of document.images) image.loading = "eager";
  };
  const back = () => {
    if (!before) return;
    root.dataset.theme = before.theme;
    for (const folded of before.folded) folded.open = false;
    before = undefined;
  };
  onPaper.addEventListener("change", () => (onPaper.matches ? print() : back()));
  addEventListener("beforeprint", print);
  addEventListener("afterprint", back);

  // what is said of a name of the package stood on one page once: an address of then leads to where it stands now
  const moved = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    if (!wanted || document.getElementById(wanted)) return;
    const links = [...document.querySelectorAll("ul.names a")].filter(({ hash }) => `${wanted}.`.startsWith(`${hash.slice(1)}.`));
    if (links.length) location.replace(Object.assign(new URL(links.at(-1).href), { hash: wanted }));
  };
  addEventListener("DOMContentLoaded", moved);
  addEventListener("hashchange", moved);
})();

// The list of pages scrolls by itself; the page that is read stands in its middle.
addEventListener("DOMContentLoaded", () => {
  const page = document.querySelector("nav.bd-links li.current.active > a");
  const list = page?.closest(".sidebar-primary-item");
  if (list) list.scrollTop += page.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
});
