// Draws the films of a gallery page as SVG, plays them and steps through them. It uses no library and no network.
"use strict";

(() => {
  const STEP = 600; // milliseconds that a frame is shown at speed 1
  const HOLD = 2000; // the same for the last frame
  const HATCH = 6; // points between two diagonal lines
  const WORDS_APART = /\s+/;

  // ---- settings: they apply to the whole page, and are remembered if the browser allows it for pages from disk

  const settings = { theme: "auto", speed: "1", loop: "true" };

  for (const name of Object.keys(settings)) {
    try {
      settings[name] = localStorage.getItem(`convarith-${name}`) ?? settings[name];
    } catch {
      break; // no storage: use the defaults
    }
  }

  function set(name, value) {
    settings[name] = value;
    try {
      localStorage.setItem(`convarith-${name}`, value);
    } catch {
      // no storage: the setting lasts until the page is closed
    }
    if (name === "theme") showTheme();
  }

  function showTheme() {
    document.documentElement.dataset.theme = settings.theme;
  }

  function connectSetting(control) {
    const name = control.dataset.setting;
    const isBox = control.type === "checkbox";
    if (isBox) control.checked = settings[name] === "true";
    else control.value = settings[name];
    if (!isBox && control.selectedIndex < 0) control.value = settings[name] = control.querySelector("[selected]").value;
    control.addEventListener("change", () => set(name, isBox ? String(control.checked) : control.value));
  }

  // ---- loading: the data of each film is a script that calls receiveFilm

  const waiting = new Map();

  window.receiveFilm = (name, film) => waiting.get(name)(film);

  function loadFilm(name, source) {
    return new Promise((resolve, reject) => {
      waiting.set(name, resolve);
      const script = document.createElement("script");
      script.src = source;
      script.onerror = () => reject(new Error(`Cannot load ${source}.`));
      document.head.append(script);
    });
  }

  // ---- drawing: boxes and lines become SVG nodes; colours are CSS variables, so a new theme needs no redrawing

  const measure = document.createElement("canvas").getContext("2d");

  function node(name, attributes, style = {}, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    Object.assign(made.style, style);
    made.textContent = text;
    return made;
  }

  const role = (name) => `var(--${name})`;
  const path = (points) => `M${points.map((point) => point.map((value) => +value.toFixed(2)).join(" ")).join("L")}`;

  /** The outline of a box, moved inwards by `inset`. */
  function outline({ x, y, width, height, slant }, inset) {
    const across = (inset * Math.hypot(slant, height)) / height;
    const low = x + (slant * inset) / height;
    const high = x + slant - (slant * inset) / height;
    const corners = [
      [low + across, y + height - inset],
      [high + across, y + inset],
      [high + width - across, y + inset],
      [low + width - across, y + height - inset],
    ];
    return `${path(corners)}Z`;
  }

  function hatching({ x, y, width, height, slant }) {
    const leaning = (right, down) => [x + right + slant * (1 - down / height), y + down];
    let lines = "";
    for (let sum = HATCH; sum < width + height; sum += HATCH) {
      const low = Math.min(sum, height);
      const high = Math.max(0, sum - width);
      lines += path([leaning(sum - low, low), leaning(sum - high, high)]);
    }
    return lines;
  }

  /** A function that draws boxes. `shape` has the measures that all ways of drawing a film share. */
  const drawerOfBoxes = (shape, family) => (box) => {
    const { x, y, width, height, slant, fill, size, text, note } = box;
    const edge = box.edge ?? (box.heavy ? "edge" : null);
    const isBare = fill === "paper" && edge === null && !box.hatched;
    const margin = isBare ? 0 : shape.text_margin;
    const ink = role(box.ink ?? `on-${fill}`);
    const nodes = [];

    const stroked = (inset, colour, strokeWidth, fillColour) =>
      nodes.push(node("path", { d: outline(box, inset) }, { fill: fillColour, stroke: colour, strokeWidth }));
    if (!isBare) stroked(0, edge === null || box.heavy ? "none" : role(edge), shape.outline, role(fill));
    if (box.hatched) nodes.push(node("path", { d: hatching(box), class: "hatching" }, { stroke: ink }));
    if (box.heavy) {
      const outside = shape.outline / 2;
      stroked((shape.heavy - outside) / 2, role(edge), shape.heavy + outside, "none");
    }

    /** Adds one line of text, as large as fits. `middle(size)` is the vertical middle of its capitals. */
    const write = (words, most, isBold, room, middle, align, aside) => {
      const weight = isBold ? 700 : 400;
      measure.font = `${weight} ${most}px ${family}`;
      const fitting = +(most * Math.min(1, room / measure.measureText(words).width)).toFixed(2);
      const centre = middle(fitting);
      const left = x + (slant * (y + height - centre)) / height;
      const [anchor, across] = {
        left: ["start", left + aside],
        center: ["middle", left + width / 2],
        right: ["end", left + width - aside],
      }[align];
      const baseline = centre + (shape.cap_height * fitting) / 2;
      const place = { x: +across.toFixed(2), y: +baseline.toFixed(2), "font-size": fitting, "text-anchor": anchor };
      nodes.push(node("text", place, { fill: ink, fontWeight: weight }, words));
    };
    const noteHigh = shape.note * shape.cap_height * size;
    const lift = note ? (noteHigh + 1) / 2 : 0;
    if (text) {
      const high = Math.max(height - 2 * margin - 2 * lift, 1);
      const leaning = Math.abs(slant) * Math.min((size * shape.cap_height) / height, 1);
      const room = Math.max(width - 2 * margin - leaning, 1);
      write(text, Math.min(size, high / shape.cap_height), box.bold, room, () => y + height / 2 - lift, box.align, margin);
    }
    if (note) {
      const most = Math.min(size * shape.note, height / 2 / shape.cap_height);
      const middle = (fitting) => y + height - margin - (shape.cap_height * fitting) / 2;
      const aside = margin + (Math.max(slant, 0) * noteHigh) / 2 / height; // the lower corner is closest to the slanted side
      write(note, most, false, width - 2 * aside, middle, "right", aside);
    }
    return nodes;
  };

  function drawLine({ points, colour, width }) {
    return [node("path", { d: path(points), class: "line" }, { stroke: role(colour), strokeWidth: width })];
  }

  /** A film as an SVG element that can show each of its frames. */
  class Picture {
    constructor(film, place) {
      this.film = film;
      this.reached = -1; // no frame yet: `wanted` holds the items before the first one
      this.wanted = [...film.items];
      this.drawn = film.items.map(() => null);
      this.svg = node("svg", { viewBox: `0 0 ${film.width} ${film.height}`, role: "img", "aria-label": film.alt });
      const layers = [node("g", {}), node("g", {})]; // boxes, and lines on top of them
      this.slots = layers.map((layer) => film.items.map(() => layer.appendChild(node("g", {}))));
      this.svg.append(...layers);
      place.replaceChildren(this.svg);
      this.drawBox = drawerOfBoxes(film.shape, getComputedStyle(this.svg).fontFamily);
    }

    show(frame) {
      if (frame < this.reached) {
        this.wanted = [...this.film.items];
        this.reached = -1;
      }
      while (this.reached < frame) Object.assign(this.wanted, this.film.frames[++this.reached]);
      this.wanted.forEach((item, number) => {
        if (item !== this.drawn[number]) this.draw(number, item);
      });
      this.drawn = [...this.wanted];
    }

    draw(number, item) {
      const { pool, box, line } = this.film;
      const [inBoxes, inLines] = this.slots.map((slots) => slots[number]);
      const seen = item === null ? {} : pool[item];
      const isLine = "points" in seen;
      inLines.replaceChildren(...(isLine ? drawLine({ ...line, ...seen }) : []));
      inBoxes.replaceChildren(...(isLine || item === null ? [] : this.drawBox({ ...box, ...seen })));
    }
  }

  // ---- playing

  class Player {
    constructor(figure) {
      this.figure = figure;
      this.linked = "linked" in figure.dataset; // the URL contains the frame
      const part = (name) => figure.querySelector(`.${name}`);
      this.button = part("play");
      this.scrub = part("scrub");
      this.counter = part("counter");
      this.caption = part("caption");
      this.last = Number(this.scrub.max) - 1;
      this.frame = 0;
      this.playing = false;

      this.button.addEventListener("click", () => this.toggle());
      part("back").addEventListener("click", () => this.rest(this.frame - 1));
      part("forward").addEventListener("click", () => this.rest(this.frame + 1));
      this.scrub.addEventListener("input", () => this.rest(this.scrub.valueAsNumber - 1));
      part("stage").addEventListener("click", () => {
        this.toggle();
        this.button.focus({ preventScroll: true }); // so that the keys now control this film
      });
    }

    /** Load and draw the film, once. Cards start in the middle of the film, where there is most to see. */
    load() {
      this.loaded ??= this.open();
      return this.loaded;
    }

    async open() {
      const { name, film } = this.figure.dataset;
      const stage = this.figure.querySelector(".stage");
      try {
        this.picture = new Picture(await loadFilm(name, film), stage);
      } catch (error) {
        stage.textContent = error.message;
        return;
      }
      for (const control of this.figure.querySelectorAll(":disabled")) control.disabled = this.last === 0;
      this.show(this.linked ? (linkedFrame() ?? 0) : Math.floor(this.last / 2));
    }

    show(frame) {
      this.frame = Math.min(Math.max(frame, 0), this.last);
      this.picture.show(this.frame);
      const step = `step ${this.frame + 1} of ${this.last + 1}`;
      this.scrub.value = this.frame + 1;
      this.scrub.style.setProperty("--done", this.last ? this.frame / this.last : 1);
      this.scrub.setAttribute("aria-valuetext", step);
      this.counter.textContent = step;
      this.caption.textContent = this.picture.film.captions[this.frame];
    }

    /** Stop at a frame, announce its caption and put it into the URL. */
    rest(frame) {
      if (!this.picture) return;
      this.pause();
      this.caption.setAttribute("aria-live", "polite");
      this.show(frame);
      if (this.linked) {
        try {
          history.replaceState(null, "", `#frame=${this.frame + 1}`);
        } catch {
          // browsers limit how often the URL may change: a skipped update does no harm
        }
      }
    }

    toggle() {
      if (this.playing) this.rest(this.frame);
      else this.play();
    }

    play() {
      if (this.playing || !this.picture || this.last === 0) return;
      this.setPlaying(true);
      if (this.frame === this.last) this.show(0);
      this.wait();
    }

    pause() {
      if (!this.playing) return;
      clearTimeout(this.timer);
      this.setPlaying(false);
    }

    setPlaying(playing) {
      this.playing = playing;
      this.figure.classList.toggle("playing", playing);
      const label = playing ? "Pause" : "Play";
      this.button.setAttribute("aria-label", label);
      this.button.title = `${label} (space)`;
      if (playing) this.caption.setAttribute("aria-live", "off");
    }

    wait() {
      const length = this.frame === this.last ? HOLD : STEP;
      this.timer = setTimeout(() => this.advance(), length / Number(settings.speed));
    }

    advance() {
      this.show(this.frame === this.last ? 0 : this.frame + 1);
      if (this.frame === this.last && settings.loop !== "true") this.rest(this.frame);
      else this.wait();
    }
  }

  function linkedFrame() {
    const found = /^#frame=(\d+)$/.exec(location.hash);
    return found ? Number(found[1]) - 1 : null;
  }

  // ---- the page

  /** Handle the keys of a player, unless the focused control needs them itself. */
  function press(event, player) {
    const { altKey, ctrlKey, metaKey, shiftKey, target } = event;
    if (altKey || ctrlKey || metaKey || shiftKey || target.closest("select, input:not(.scrub)")) return;
    const pressesItself = target.closest("button, a, summary, label");
    const actions = {
      " ": pressesItself ? undefined : () => player.toggle(),
      ArrowLeft: () => player.rest(player.frame - 1),
      ArrowRight: () => player.rest(player.frame + 1),
      Home: () => player.rest(0),
      End: () => player.rest(player.last),
    };
    if (!player.picture || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code); // copying is not allowed: select the text, so that the user can copy it
      document.getElementById("said").textContent = "Selected";
      return;
    }
    document.getElementById("said").textContent = "Copied";
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  function search(text) {
    const words = text.toLowerCase().split(WORDS_APART).filter(Boolean);
    const cards = [...document.querySelectorAll(".card")];
    for (const card of cards) card.hidden = !words.every((word) => card.dataset.search.includes(word));
    for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".card:not([hidden])");
    const found = cards.filter((card) => !card.hidden).length;
    const all = cards.length === 1 ? "1 scene" : `${cards.length} scenes`;
    document.getElementById("found").textContent = found === cards.length ? all : `${found} of ${all}`;
    document.getElementById("nothing").hidden = found > 0 || words.length === 0;
  }

  function start() {
    document.querySelectorAll("[data-setting]").forEach(connectSetting);
    document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", () => copy(button)));

    const players = new Map([...document.querySelectorAll(".player")].map((figure) => [figure, new Player(figure)]));
    const inView = new Set();
    const [only] = players.values();
    const linked = only?.linked ? only : null;
    let playsAll = false;

    // A film is loaded when it is about to scroll into view, and paused when it has left it.
    const see = async (player, isSeen) => {
      if (isSeen) inView.add(player);
      else inView.delete(player);
      if (isSeen) await player.load();
      if (!inView.has(player)) player.pause();
      else if (playsAll) player.play();
    };
    const watch = (entries) => entries.forEach((entry) => see(players.get(entry.target), entry.isIntersecting));
    const observer = new IntersectionObserver(watch, { rootMargin: "200px" });
    for (const figure of players.keys()) observer.observe(figure);

    const mayMove = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (linked && mayMove && linkedFrame() === null) linked.load().then(() => linked.play());

    document.addEventListener("keydown", (event) => {
      const player = players.get(event.target.closest(".player")) ?? linked;
      if (player) press(event, player);
    });
    addEventListener("hashchange", () => {
      const frame = linkedFrame();
      if (linked?.picture && frame !== null) linked.rest(frame);
    });

    const button = document.getElementById("play-all");
    button?.addEventListener("click", () => {
      playsAll = !playsAll;
      button.textContent = playsAll ? "Pause all" : "Play all";
      for (const player of inView) playsAll ? player.play() : player.pause();
    });
    const field = document.getElementById("search");
    field?.addEventListener("input", () => search(field.value));
    if (field?.value) search(field.value); // browsers restore the text of the field when the user navigates back
  }

  showTheme();
  document.addEventListener("DOMContentLoaded", start);
})();
