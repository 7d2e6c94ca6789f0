"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("trial-data").textContent);
  const names = { c: "complete", p: "pruned", f: "failed" };
  const columns = [
    { label: "trial", get: (i) => data.number[i], number: true },
    { label: "state", get: (i) => names[data.state[i]] },
    ...data.columns.map((column) => ({
      label: column.label,
      number: !column.words,
      get: (i) => column.words ? column.words[column.values[i]] ?? null : column.values[i],
    })),
  ];
  if (Object.keys(data.remarks).length) columns.push({ label: "remark", get: (i) => data.remarks[data.number[i]] ?? "" });
  const place = new Map(data.number.map((number, i) => [number, i]));
  const best = new Set(data.best);
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const shown = (value) => value === null || value === undefined ? "–" : String(value);

  // The same trial in every chart and in the table.
  const marks = new Map();
  for (const mark of document.querySelectorAll("svg [data-t]")) {
    mark.querySelector("title")?.remove();
    const number = Number(mark.dataset.t);
    marks.has(number) ? marks.get(number).push(mark) : marks.set(number, [mark]);
  }
  const tip = make("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let hot = null;
  const point = (number, at) => {
    if (number !== hot) {
      for (const mark of marks.get(hot) ?? []) mark.classList.remove("hot");
      for (const mark of marks.get(number) ?? []) mark.classList.add("hot");
      for (const row of body.rows) row.classList.toggle("hot", row.dataset.t === String(number));
      hot = number;
    }
    tip.hidden = number === null || !at;
    if (tip.hidden) return;
    const i = place.get(number);
    tip.textContent = columns.map((column) => column.label + ": " + shown(column.get(i))).join("\n");
    const width = document.documentElement.clientWidth;
    tip.style.left = Math.max(4, Math.min(at.x + 14, width - tip.offsetWidth - 6)) + "px";
    tip.style.top = (at.y + 18 + tip.offsetHeight < innerHeight ? at.y + 18 : Math.max(4, at.y - 12 - tip.offsetHeight)) + "px";
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest?.("[data-t]");
    point(mark ? Number(mark.dataset.t) : null, mark?.closest("svg") && { x: event.clientX, y: event.clientY });
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") point(null); });

  // The table: sorted, filtered, a page at a time.
  const PAGE = 50;
  const card = document.getElementById("trial-table");
  const body = card.querySelector("tbody");
  let sorted = 0, rising = true, state = "", first = 0, chosen = null;
  document.getElementById("trial-cut")?.remove();
  const filter = make("select");
  for (const [letter, name] of [["", "all"], ...Object.entries(names)]) {
    const n = letter ? data.state.split(letter).length - 1 : data.state.length;
    filter.append(make("option", { value: letter, textContent: name + " (" + n + ")" }));
  }
  const back = make("button", { type: "button", textContent: "Previous" });
  const next = make("button", { type: "button", textContent: "Next" });
  const count = make("span");
  count.setAttribute("aria-live", "polite");
  const controls = card.querySelector(".trial-controls");
  controls.append(make("label", {}, "State ", filter), count, back, next);
  controls.hidden = false;
  const heads = [...card.querySelectorAll("th")];
  heads.forEach((head, at) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      rising = sorted === at ? !rising : true;
      sorted = at;
      first = 0;
      draw();
    });
  });
  const rows = () => {
    const wanted = data.number.map((_, i) => i).filter((i) => (!state || data.state[i] === state) && (!chosen || chosen.has(i)));
    const { get, number } = columns[sorted];
    const sign = rising ? 1 : -1;
    const missing = (value) => value === null || value === undefined;
    return wanted.sort((a, b) => {
      const [x, y] = [get(a), get(b)];
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      return sign * (number ? x - y : x < y ? -1 : x > y ? 1 : 0);
    });
  };
  const draw = () => {
    const all = rows();
    first = Math.max(0, Math.min(first, Math.floor((all.length - 1) / PAGE) * PAGE));
    const shownRows = all.slice(first, first + PAGE);
    heads.forEach((head, at) => head.setAttribute("aria-sort", at !== sorted ? "none" : rising ? "ascending" : "descending"));
    body.replaceChildren(...shownRows.map((i) => {
      const row = make("tr", { className: best.has(data.number[i]) ? "good" : "", tabIndex: 0 });
      row.dataset.t = data.number[i];
      row.append(...columns.map((column) => make("td", { className: column.number ? "number" : "", textContent: shown(column.get(i)) })));
      return row;
    }));
    count.textContent = all.length ? (first + 1) + " to " + (first + shownRows.length) + " of " + all.length : "no trials";
    back.disabled = first === 0;
    next.disabled = first + PAGE >= all.length;
  };
  filter.addEventListener("change", () => { state = filter.value; first = 0; draw(); });
  back.addEventListener("click", () => { first -= PAGE; draw(); });
  next.addEventListener("click", () => { first += PAGE; draw(); });
  body.addEventListener("focusin", (event) => { point(Number(event.target.closest("tr").dataset.t)); });
  draw();

  // Ranges on the axes of parallel coordinates.
  const axes = [...document.querySelectorAll("svg .axis")];
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const along = (axis, value) => {
    const { from, to, low, high, log, missing } = axis.numbers;
    if (value === null) return missing ?? -1e9;
    const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low || 1);
    return from + share * (to - from);
  };
  const valueAt = (axis, x) => {
    const { from, to, low, high, log } = axis.numbers;
    const share = Math.max(0, Math.min(1, (x - from) / (to - from)));
    return Number((log ? low * (high / low) ** share : low + share * (high - low)).toPrecision(3));
  };
  const inWords = (axis) => {
    if (!axis.range) return "whole axis";
    const { words, values } = data.columns[axis.column];
    if (words) return words.filter((_, w) => { const x = along(axis, w); return x >= axis.range[0] && x <= axis.range[1]; }).join(", ") || "nothing";
    return valueAt(axis, axis.range[0]) + " to " + valueAt(axis, axis.range[1]);
  };
  const brushed = [];
  const choose = () => {
    const active = brushed.filter((axis) => axis.range);
    chosen = active.length ? new Set(data.number.map((_, i) => i).filter((i) => active.every((axis) => {
      const x = along(axis, data.columns[axis.column].values[i]);
      return x >= axis.range[0] && x <= axis.range[1];
    }))) : null;
    document.body.classList.toggle("brushed", chosen !== null);
    for (const [number, list] of marks) {
      const on = !chosen || chosen.has(place.get(number));
      for (const mark of list) mark.classList.toggle("off", !on);
    }
    for (const axis of brushed) {
      const [a, b] = axis.range ?? [0, 0];
      axis.band.setAttribute("x", a);
      axis.band.setAttribute("width", Math.max(0, b - a));
      axis.element.setAttribute("aria-valuetext", inWords(axis));
      axis.element.setAttribute("aria-valuenow", Math.round((a + b) / 2));
    }
    for (const note of notes) note.textContent = active.length
      ? active.map((axis) => axis.label + " " + inWords(axis)).join("; ") + ": " + chosen.size + " of " + data.number.length + " trials"
      : "Drag along an axis, or focus it and use the arrow keys, to choose trials in all charts and in the table.";
    for (const button of resets) button.hidden = !active.length;
    first = 0;
    draw();
  };
  const notes = [], resets = [];
  for (const svg of new Set(axes.map((axis) => axis.closest("svg")))) {
    svg.setAttribute("role", "group");
    const note = make("span");
    note.setAttribute("aria-live", "polite");
    const reset = make("button", { type: "button", textContent: "Show all trials", hidden: true });
    reset.addEventListener("click", () => { for (const axis of brushed) axis.range = null; choose(); });
    notes.push(note);
    resets.push(reset);
    svg.closest("figure").append(make("p", { className: "brush-note" }, note, " ", reset));
  }
  for (const element of axes) {
    const svg = element.closest("svg"), set = element.dataset;
    const numbers = {};
    for (const key of ["y", "from", "to", "low", "high", "log", "missing"]) if (key in set) numbers[key] = Number(set[key]);
    const left = (numbers.missing ?? numbers.from) - 8, right = numbers.to + 8;
    const band = shape("rect", { class: "band", y: numbers.y - 11, height: 22, width: 0 });
    const hit = shape("rect", { class: "hit", x: left - 8, width: right - left + 16, y: numbers.y - 18, height: 36 });
    element.append(band, hit);
    const axis = { element, band, numbers, label: set.label, column: Number(set.column), range: null };
    brushed.push(axis);
    for (const [key, value] of Object.entries({ tabindex: 0, role: "slider", "aria-label": "Range of " + set.label, "aria-valuemin": Math.round(left), "aria-valuemax": Math.round(right) })) element.setAttribute(key, value);
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.max(left, Math.min(right, (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width));
    };
    let begin = null;
    hit.addEventListener("pointerdown", (event) => { begin = at(event); hit.setPointerCapture(event.pointerId); event.preventDefault(); });
    hit.addEventListener("pointermove", (event) => {
      if (begin === null) return;
      const x = at(event);
      axis.range = Math.abs(x - begin) < 3 ? null : [Math.min(begin, x), Math.max(begin, x)];
      choose();
    });
    const end = (event) => { if (begin !== null && Math.abs(at(event) - begin) < 3) { axis.range = null; choose(); } begin = null; };
    hit.addEventListener("pointerup", end);
    hit.addEventListener("pointercancel", () => { begin = null; });
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (event.key === "Escape") axis.range = null;
      else if (!step) return;
      else if (!axis.range) axis.range = step > 0 ? [left, left + (right - left) / 4] : [right - (right - left) / 4, right];
      else {
        const size = (right - left) / 20 * step;
        const [a, b] = axis.range;
        // Shift moves the right end alone.
        const to = Math.max(a + 4, Math.min(right, b + size));
        axis.range = event.shiftKey ? [a, to] : [Math.max(left, Math.min(a + size, right - (b - a))), 0];
        if (!event.shiftKey) axis.range[1] = axis.range[0] + b - a;
      }
      event.preventDefault();
      choose();
    });
  }
  if (axes.length) choose();
});
