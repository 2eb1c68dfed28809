"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const map = $("map"), tip = $("tip"), search = $("search");
  const HEADER = 18, PAD = 2, DEEPEST = 12;

  // Everything from the package becomes a text node, nothing markup.
  const make = (tag, className, ...content) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...content);
    return element;
  };
  const size = (bytes) => {
    let value = bytes, unit = 0;
    const units = ["B", "kB", "MB", "GB", "TB"];
    while (value >= 999.5 && unit < 4) { value /= 1000; unit++; }
    const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return `${value.toFixed(digits)} ${units[unit]}`;
  };
  const number = (count) => count.toLocaleString("en-US");
  const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
  const share = (part, whole) => {
    const percent = whole ? 100 * part / whole : 0;
    return `${percent >= 9.95 || percent === 0 ? percent.toFixed(0) : percent >= 0.1 ? percent.toFixed(1) : "< 0.1"} %`;
  };

  // Kinds of files, by name: what fills the space.
  const KINDS = [
    ["native", "native libraries and programs"], ["python", "Python"], ["bytecode", "compiled Python"], ["data", "data"],
    ["source", "headers and sources"], ["docs", "documents and metadata"], ["web", "web"], ["other", "other"],
  ];
  const SUFFIXES = {
    native: "so a dylib dll exe o", python: "py pyi ipynb", bytecode: "pyc pyo",
    source: "h hh hpp hxx c cc cpp cxx pyx pxd pxi f f77 f90 f95 for cu cuh cl m go rs inc cmake pc tcl lua r pl pm sh fish bash",
    docs: "md rst txt html htm pdf tex man 1 3 5 8 info license licence pem",
    web: "js mjs css map ts svg woff woff2 less scss wasm",
    data: "json jsonl csv tsv parquet feather arrow npy npz pkl pickle h5 hdf5 root fits xml yaml yml toml ini cfg conf dat bin db sqlite gz xz bz2 zst zip tar ttf otf afm pfb png jpg jpeg gif tif tiff ico mo po gmo tz mat nc sav dta arff orc avro",
  };
  const BY_SUFFIX = new Map(Object.entries(SUFFIXES).flatMap(([kind, words]) => words.split(" ").map((word) => [word, kind])));
  const kindOf = (path) => {
    const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
    if (/\.so(\.[\d.]+)?$/.test(name)) return "native";
    if (/^(license|licence|copying|notice|readme|authors|metadata|record|wheel|installer|requested|changelog)/.test(name) && !/\.(py|pyc|so|h)$/.test(name)) return "docs";
    const dot = name.lastIndexOf(".");
    const kind = dot > 0 ? BY_SUFFIX.get(name.slice(dot + 1)) : undefined;
    if (kind) return kind;
    return /(^|\/)s?bin\//.test(path) || /(^|\/)libexec\//.test(path) ? "native" : "other";
  };

  // The tree, with sums.
  const order = (a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1);
  const child = (raw, parent) => {
    const [name, what, gathered] = raw;
    const node = { name, parent, path: parent.path + name, bytes: 0, files: 0, kinds: {} };
    if (Array.isArray(what)) {
      node.path += "/";
      grow(node, what);
    } else {
      Object.assign(node, { bytes: what, files: gathered || 1, gathered: gathered || 0 });
      if (gathered) node.path = parent.path;
      node.kind = gathered ? "other" : kindOf(node.path);
    }
    return node;
  };
  const grow = (node, raw) => {
    node.children = raw.map((one) => child(one, node)).sort(order);
    const kinds = {};
    for (const one of node.children) {
      node.bytes += one.bytes;
      node.files += one.files;
      for (const [kind, bytes] of Object.entries(one.children ? one.kinds : { [one.kind]: one.bytes })) kinds[kind] = (kinds[kind] || 0) + bytes;
    }
    node.kinds = kinds;
    node.kind = Object.keys(kinds).sort((a, b) => kinds[b] - kinds[a])[0] || "other";
  };
  const root = { name: "all", path: "", bytes: 0, files: 0, parent: null, children: [], kinds: {} };
  for (const raw of data.tree) {
    const part = { name: raw.n, version: raw.v || "", origin: raw.o || "", owner: raw.k, parent: root, path: raw.p ? raw.p + "/" : "", bytes: 0, files: 0 };
    grow(part, raw.c);
    root.children.push(part);
    root.bytes += part.bytes;
    root.files += part.files;
  }
  root.children.sort(order);
  const WORDS = { conda: "conda package", pip: "distribution", data: "git or http data", poncho: "what PONCHO added", other: "brought by no package" };
  const describe = (node) => {
    if (node.owner) return [WORDS[node.owner], node.version, node.origin && `from ${node.origin}`].filter(Boolean).join(", ");
    return node.children ? "directory" : node.gathered ? "gathered, so that the page stays small" : KINDS.find(([kind]) => kind === node.kind)[1];
  };

  // Squarified treemap: Bruls, Huizing and van Wijk, 2000.
  const squarify = (nodes, x, y, w, h) => {
    const total = nodes.reduce((sum, node) => sum + node.bytes, 0);
    const found = [];
    if (!total || w <= 0 || h <= 0) return found;
    const scale = w * h / total;
    let at = 0;
    while (at < nodes.length && nodes[at].bytes > 0 && w > 0.5 && h > 0.5) {
      const side = Math.min(w, h);
      let sum = 0, end = at, worst = Infinity;
      while (end < nodes.length && nodes[end].bytes > 0) {
        const next = sum + nodes[end].bytes * scale;
        const ratio = Math.max(side * side * nodes[at].bytes * scale / (next * next), next * next / (side * side * nodes[end].bytes * scale));
        if (ratio > worst) break;
        worst = ratio;
        sum = next;
        end++;
      }
      const thick = sum / side;
      let along = 0;
      for (; at < end; at++) {
        const length = nodes[at].bytes * scale / thick;
        found.push(w >= h ? [nodes[at], x, y + along, thick, length] : [nodes[at], x + along, y, length, thick]);
        along += length;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    }
    return found;
  };

  let here = root, terms = [], cells = [], opened = null;
  const matches = (node) => { const path = node.path.toLowerCase(); return terms.every((term) => path.includes(term)); };

  const label = (node, w, h, box) => {
    if (w < 44 || h < 16) return null;
    const text = make("span", "label", node.name);
    if (w > 110 || (!box && h > 36 && w > 52)) text.append(make("i", "", size(node.bytes)));
    if (!box) text.style.maxHeight = `${Math.max(1, Math.floor((h - 3) / 15)) * 15}px`;
    return text;
  };
  const draw = (parent, nodes, x, y, w, h, depth) => {
    for (const [node, left, top, wide, high] of squarify(nodes, x, y, w, h)) {
      const l = Math.round(left), t = Math.round(top), cw = Math.round(left + wide) - l, ch = Math.round(top + high) - t;
      if (cw < 2 || ch < 2) continue;
      const nested = node.children && cw > 26 && ch > 26 && cw * ch > 1400 && depth < DEEPEST;
      const cell = make("div", `cell ${nested ? "box" : `leaf k-${node.kind}`}${depth ? "" : " top"}`);
      Object.assign(cell.style, { left: `${l}px`, top: `${t}px`, width: `${cw}px`, height: `${ch}px` });
      cell.node = node;
      const head = nested ? cw > 46 && ch > 40 : true;
      const words = head ? label(node, cw, ch, nested) : null;
      if (words) cell.append(words);
      if (!nested && ch > 36 && cw > 52) cell.classList.add("two");
      if (terms.length && !nested && (node.children ? node.hits : matches(node))) cell.classList.add("hit");
      if (!depth) {
        cell.tabIndex = -1;
        cell.setAttribute("role", node.children ? "button" : "img");
        cell.setAttribute("aria-label", `${node.name}, ${size(node.bytes)}, ${share(node.bytes, root.bytes)} of all, ${describe(node)}`);
        cells.push(cell);
      }
      parent.append(cell);
      if (nested) {
        const up = words ? HEADER : PAD;
        draw(cell, node.children, PAD, up, cw - 2 * PAD - 2, ch - up - PAD - 2, depth + 1);
      }
    }
  };
  const render = (from) => {
    const view = make("div", "view");
    cells = [];
    draw(view, here.children, 0, 0, map.clientWidth, map.clientHeight, 0);
    if (!cells.length) view.append(make("p", "label", "Nothing in here takes any space."));
    map.replaceChildren(view);
    map.classList.toggle("searching", terms.length > 0);
    if (cells.length) cells[0].tabIndex = 0;
    if (from && view.animate && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      const { x, y, w, h } = from;
      view.animate([
        { transform: `translate(${x}px, ${y}px) scale(${w / map.clientWidth}, ${h / map.clientHeight})`, opacity: 0.4 },
        { transform: "none", opacity: 1 },
      ], { duration: 240, easing: "cubic-bezier(.2, .7, .2, 1)" });
    }
  };

  const trail = (node) => { const found = []; for (let one = node; one; one = one.parent) found.unshift(one); return found; };
  const address = (node) => "#" + trail(node).slice(1).map((one) => encodeURIComponent(one.owner ? `${one.owner}:${one.name}` : one.name)).join("/");
  const shownHash = () => location.hash || "#";
  const find = (text) => {
    let node = root;
    for (const word of text.replace(/^#/, "").split("/").filter(Boolean)) {
      let name;
      try { name = decodeURIComponent(word); } catch { return node; }
      const next = (node.children || []).find((one) => one.children && (one.owner ? `${one.owner}:${one.name}` : one.name) === name);
      if (!next) return node;
      node = next;
    }
    return node;
  };
  const go = (node, { focus = false, mark = null } = {}) => {
    if (!node.children) { mark = node; node = node.parent; }
    const cell = cells.find((one) => one.node === node);
    const from = cell && { x: cell.offsetLeft, y: cell.offsetTop, w: cell.offsetWidth, h: cell.offsetHeight };
    const before = here;
    here = node;
    if (node !== before) { opened = address(node); if (shownHash() !== opened) location.hash = opened; }
    hideTip();
    crumbs();
    list();
    render(node === before ? null : from);
    const wanted = mark || (trail(before).includes(node) ? trail(before)[trail(node).length] : null);
    const target = cells.find((one) => one.node === wanted) || cells[0];
    if (mark && target && target.node === mark) target.classList.add("found");
    if (target && (focus || mark)) { for (const one of cells) one.tabIndex = one === target ? 0 : -1; target.focus({ preventScroll: true }); }
  };
  const crumbs = () => {
    const bar = $("crumbs"), nodes = trail(here);
    bar.replaceChildren(...nodes.flatMap((node, at) => {
      const name = node === root ? "All packages" : node.name;
      if (at === nodes.length - 1) { const last = make("b", "", name); last.setAttribute("aria-current", "location"); return [last]; }
      const button = make("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => go(node, { focus: true }));
      return [button, make("span", "", "›")];
    }));
  };
  const row = (node, most, where) => {
    const button = make("button", "", make("span", `swatch k-${node.kind}`), make("span", "what", node.name), make("span", "size", size(node.bytes)));
    button.type = "button";
    button.title = node.path || node.name;
    if (where) button.append(make("span", "where", where));
    else {
      const full = make("span", "");
      full.style.width = `${Math.max(1, 100 * node.bytes / (most || 1))}%`;
      button.append(make("span", "gauge", full));
    }
    button.addEventListener("click", () => go(node));
    return make("li", "", button);
  };
  const SHOWN = 200;
  const list = () => {
    const rows = $("list");
    if (terms.length) {
      const found = [];
      const walk = (node) => {
        if (!node.children) { if (matches(node)) { found.push(node); return true; } return false; }
        node.hits = false;
        for (const one of node.children) if (walk(one)) node.hits = true;
        return node.hits;
      };
      walk(root);
      found.sort(order);
      const bytes = found.reduce((sum, node) => sum + node.bytes, 0);
      $("listhead").textContent = found.length ? `${plural(found.length, "file")} found, ${size(bytes)}` : "No file found";
      rows.replaceChildren(...found.slice(0, SHOWN).map((node) => row(node, 0, node.path.slice(0, node.path.lastIndexOf("/") + 1) || "the top directory")));
      if (found.length > SHOWN) rows.append(make("li", "rest", `and ${number(found.length - SHOWN)} smaller ones`));
      return;
    }
    $("listhead").textContent = `${here === root ? "All packages" : here.name}: ${size(here.bytes)}, ${plural(here.files, "file")}`;
    const most = here.children.length ? here.children[0].bytes : 0;
    rows.replaceChildren(...here.children.slice(0, SHOWN).map((node) => row(node, most)));
    if (here.children.length > SHOWN) rows.append(make("li", "rest", `and ${number(here.children.length - SHOWN)} smaller ones`));
  };

  // Mouse, touch and keys on the map.
  const nodeAt = (event) => { const cell = event.target.closest && event.target.closest(".cell"); return cell ? cell.node : null; };
  const step = (node) => { let one = node; while (one && one.parent !== here) one = one.parent; return one; };
  map.addEventListener("click", (event) => { const node = nodeAt(event); if (node) { const next = step(node); if (next) go(next.children ? next : node); } });
  map.addEventListener("keydown", (event) => {
    const now = cells.indexOf(document.activeElement);
    if (event.key === "Enter" || event.key === " ") { if (now >= 0) { go(cells[now].node, { focus: true }); event.preventDefault(); } return; }
    if (event.key === "Backspace" || event.key === "Escape") { if (here.parent) { go(here.parent, { focus: true }); event.preventDefault(); } return; }
    if (event.key === "Home" || event.key === "End") { move(event.key === "Home" ? 0 : cells.length - 1); event.preventDefault(); return; }
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || now < 0) return;
    event.preventDefault();
    const middle = (cell) => [cell.offsetLeft + cell.offsetWidth / 2, cell.offsetTop + cell.offsetHeight / 2];
    const [x, y] = middle(cells[now]);
    let best = -1, least = Infinity;
    cells.forEach((cell, at) => {
      const [cx, cy] = middle(cell), along = (cx - x) * way[0] + (cy - y) * way[1], across = Math.abs((cx - x) * way[1]) + Math.abs((cy - y) * way[0]);
      if (at !== now && along > 1 && along + 2 * across < least) { least = along + 2 * across; best = at; }
    });
    if (best >= 0) move(best);
  });
  const move = (at) => { cells.forEach((cell, one) => { cell.tabIndex = one === at ? 0 : -1; }); cells[at].focus({ preventScroll: true }); };

  const hideTip = () => { tip.hidden = true; };
  const showTip = (node, x, y) => {
    const lines = [`${size(node.bytes)}, ${share(node.bytes, root.bytes)} of all${node.children ? `, ${plural(node.files, "file")}` : ""}`, describe(node)];
    if (here !== root) lines[0] += `, ${share(node.bytes, here.bytes)} of ${here.name}`;
    tip.replaceChildren(make("b", "", node.owner ? `${node.name} ${node.version}`.trim() : node.path || node.name), ...lines.map((line) => make("span", "", line)));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
  };
  map.addEventListener("mousemove", (event) => { const node = nodeAt(event); if (node) showTip(node, event.clientX, event.clientY); else hideTip(); });
  map.addEventListener("mouseleave", hideTip);
  map.addEventListener("focusin", (event) => {
    if (!event.target.node || !event.target.matches(":focus-visible")) return;
    const box = event.target.getBoundingClientRect();
    showTip(event.target.node, box.left + Math.min(20, box.width / 2), box.top + Math.min(24, box.height / 2));
  });
  map.addEventListener("focusout", hideTip);

  // Search.
  let waiting = 0;
  const ask = () => { terms = search.value.toLowerCase().split(/\s+/).filter(Boolean); list(); render(); };
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 120); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) { search.value = ""; ask(); event.preventDefault(); }
    if (event.key === "Enter") { clearTimeout(waiting); ask(); const first = $("list").querySelector("button"); if (terms.length && first) first.click(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey) { search.focus(); search.select(); event.preventDefault(); }
  });

  // Header, tables.
  const facts = data.facts;
  const needs = [facts.requires.platform, facts.requires.glibc && `glibc ${facts.requires.glibc} or newer`, facts.requires.cpu].filter(Boolean);
  const packages = data.packages.filter((part) => part.kind === "conda" || part.kind === "pip");
  $("lead").textContent = [facts.poncho ? "a PONCHO package" : facts.format === "directory" ? "an environment's directory" : "an archive that PONCHO did not make", needs.length ? `runs on ${needs.join(", ")}` : ""].filter(Boolean).join("; ");
  const tiles = [
    ["unpacked", size(facts.unpacked_bytes)], facts.packed_bytes !== null && [`packed (${facts.format})`, size(facts.packed_bytes)],
    ["files", number(facts.files)], ["conda packages", number(packages.filter((part) => part.kind === "conda").length)],
    ["distributions", number(packages.filter((part) => part.kind === "pip").length)], facts.python && ["Python", facts.python],
  ];
  $("tiles").append(...tiles.filter(Boolean).map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
  $("legend").append(...KINDS.filter(([kind]) => root.children.some((part) => part.kinds[kind])).map(([kind, words]) => {
    const bytes = root.children.reduce((sum, part) => sum + (part.kinds[kind] || 0), 0);
    return make("li", "", make("span", `swatch k-${kind}`), `${words}, ${size(bytes)}`);
  }));
  const COLUMNS = [
    ["Name", "name", ""], ["Version", "version", ""], ["Kind", "kind", ""], ["From", "origin", "from"], ["Files", "files", "number"], ["Size", "bytes", "number"],
  ];
  const table = $("packages").querySelector("table");
  const FEW = 25;
  let sorted = "bytes", down = true, few = data.packages.length > FEW + 5;
  const all = make("button", "all", `Show all ${number(data.packages.length)}`);
  all.type = "button";
  all.addEventListener("click", () => { few = false; fill(); });
  $("packages").append(all);
  const fill = () => {
    const sign = down ? -1 : 1;
    const collate = new Intl.Collator("en", { numeric: true });
    const parts = [...data.packages].sort((a, b) => sign * (typeof a[sorted] === "number" ? a[sorted] - b[sorted] : collate.compare(a[sorted] || "", b[sorted] || "")) || collate.compare(a.name, b.name));
    const most = Math.max(1, ...data.packages.map((part) => part.bytes));
    table.tHead.replaceChildren(make("tr", "", ...COLUMNS.map(([title, key, style]) => {
      const button = make("button", "", `${title}${key === sorted ? (down ? " ↓" : " ↑") : ""}`);
      button.type = "button";
      button.addEventListener("click", () => { down = key === sorted ? !down : key === "bytes" || key === "files"; sorted = key; fill(); });
      const head = make("th", style, button);
      head.scope = "col";
      head.setAttribute("aria-sort", key === sorted ? (down ? "descending" : "ascending") : "none");
      return head;
    })));
    all.hidden = !few;
    table.tBodies[0].replaceChildren(...parts.slice(0, few ? FEW : undefined).map((part) => {
      const name = make("button", "", part.name);
      name.type = "button";
      const node = root.children.find((one) => one.owner === part.kind && one.name === part.name);
      name.addEventListener("click", () => { if (node) { go(node, { focus: true }); $("sizes").scrollIntoView(); } });
      const full = make("span", "");
      full.style.width = `${100 * part.bytes / most}%`;
      return make("tr", "", make("td", "", name), make("td", "", part.version || ""), make("td", "", make("span", "badge", part.kind)), make("td", "from", part.origin || ""),
        make("td", "number", number(part.files)), make("td", "number", size(part.bytes), make("span", "gauge", full)));
    }));
  };
  fill();
  const pairs = [
    ["digest", facts.digest && make("code", "", facts.digest)], ["channels", facts.channels.join(", ")],
    ["interpreter", facts.base && `Python ${facts.base} of the building machine`],
    ...Object.entries(facts.variables).map(([name, path]) => [make("code", "", `$${name}`), make("code", "", path)]),
    ["PONCHO's own files", facts.own.files && `${number(facts.own.files)}, ${size(facts.own.bytes)}`],
    ["files of no package", facts.other.files && `${number(facts.other.files)}, ${size(facts.other.bytes)}`],
  ].filter(([, value]) => value);
  $("more").append(make("h2", "", "Details"), make("dl", "", ...pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)])));
  if (data.spec) $("more").append(make("details", "", make("summary", "", "The spec that it was made from"), make("pre", "", data.spec)));
  $("foot").textContent = `Written by ${data.made}. This file is whole: it asks for nothing from elsewhere.`;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const theme = () => { document.documentElement.dataset.theme = chosen || (dark.matches ? "dark" : "light"); };
  dark.addEventListener("change", theme);
  $("theme").addEventListener("click", () => { chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; theme(); });
  theme();
  addEventListener("hashchange", () => { if (shownHash() !== opened) go(find(location.hash)); });
  let resizing = 0;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => render(), 80); });
  here = find(location.hash);
  opened = address(here);
  crumbs();
  list();
  render();
})();
