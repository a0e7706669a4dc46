"use strict";
// The table of samples: sort by a column, filter by cage and class, open a sample. Everything is on this page.
(function () {
  const drawn = JSON.parse(document.getElementById("drawn").textContent);
  const table = document.getElementById("samples");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const filters = ["cage", "class", "wrong"].map(function (id) { return document.getElementById(id); });

  function make(tag, words, parent, name) {
    const element = document.createElement(tag);
    if (words) element.textContent = words;
    if (name) element.className = name;
    if (parent) parent.append(element);
    return element;
  }

  function close() {
    body.querySelectorAll("tr.detail").forEach(function (row) { row.remove(); });
    body.querySelectorAll("button[aria-expanded=true]").forEach(function (b) { b.setAttribute("aria-expanded", "false"); });
  }

  // ---- sort ----
  function value(row, column) {
    const words = row.cells[column].textContent.trim();
    const number = parseFloat(words.replace(/,/g, ""));
    return column >= 4 && !Number.isNaN(number) ? number : words;
  }

  function sort(head, column) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    close();
    Array.from(table.tHead.rows[0].cells).forEach(function (each) { each.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = rows.slice().sort(function (a, b) {
      const x = value(a, column), y = value(b, column);
      const by = typeof x === "number" && typeof y === "number" ? x - y
        : String(x).localeCompare(String(y), "en", { numeric: true });
      return (up ? by : -by) || a.dataset.i - b.dataset.i;
    });
    body.append.apply(body, order);
  }

  Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
    head.querySelector("button").addEventListener("click", function () { sort(head, column); });
  });

  // ---- filter ----
  function filter() {
    close();
    const cage = filters[0].value, name = filters[1].value, wrong = filters[2].checked;
    let shown = 0;
    rows.forEach(function (row) {
      row.hidden = (cage !== "" && row.dataset.cage !== cage) || (name !== "" && row.dataset.class !== name)
        || (wrong && !row.classList.contains("wrong"));
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("shown").textContent = shown + " of " + rows.length + " samples";
  }
  filters.forEach(function (each) { each.addEventListener("change", filter); });

  // ---- open a sample ----
  function bytes(one) { return Array.from(atob(one.map), function (c) { return c.charCodeAt(0); }); }

  function shade(part, through, to) {  // from white, 0, to a dark colour, 1: lightness alone tells more from less
    const from = part < 0.5 ? [255, 255, 255] : through, end = part < 0.5 ? through : to;
    const at = part < 0.5 ? 2 * part : 2 * part - 1;
    return "rgb(" + from.map(function (c, i) { return Math.round(c + at * (end[i] - c)); }).join(",") + ")";
  }

  function shares(one, most) {
    return bytes(one).map(function (v) {
      return shade(most > 0 ? Math.min(v / 255 * one.top / most, 1) : 0, [107, 174, 214], [8, 48, 107]);
    });
  }

  function signed(v) {  // red above 0, blue below it, as in the figures; v from -1 to 1
    return v > 0 ? shade(v, [239, 138, 98], [103, 0, 31]) : shade(-v, [103, 169, 207], [5, 48, 97]);
  }

  function zones(context, size) {
    context.strokeStyle = "#555";
    context.lineWidth = 1.5;
    const w = drawn.floor[0], h = drawn.floor[1];
    drawn.furniture.forEach(function (zone) {
      context.beginPath();
      if (zone.shape === "circle") {
        context.ellipse(zone.x_cm / w * size[0], zone.y_cm / h * size[1], zone.radius_cm / w * size[0],
          zone.radius_cm / h * size[1], 0, 0, 2 * Math.PI);
      } else {
        context.rect(zone.x_cm / w * size[0], zone.y_cm / h * size[1], zone.width_cm / w * size[0],
          zone.height_cm / h * size[1]);
      }
      context.stroke();
    });
  }

  function map(parent, colours, words, label) {  // a colour for each tile, row by row
    const figure = make("figure", "", parent);
    const canvas = make("canvas", "", figure, "map");
    canvas.width = 360;
    canvas.height = Math.round(360 * drawn.floor[1] / drawn.floor[0]);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label + ": " + words);
    const context = canvas.getContext("2d"), n = drawn.tiles;
    colours.forEach(function (colour, i) {
      const x = i % n, y = Math.floor(i / n);
      const left = Math.round(x * canvas.width / n), top = Math.round(y * canvas.height / n);
      context.fillStyle = colour;
      context.fillRect(left, top, Math.round((x + 1) * canvas.width / n) - left,
        Math.round((y + 1) * canvas.height / n) - top);
    });
    zones(context, [canvas.width, canvas.height]);
    make("figcaption", words, figure);
  }

  const ink = "#1d2327";

  function sheet(figure) {  // an empty drawing of all intervals
    const canvas = make("canvas", "", figure);
    canvas.width = window.innerWidth < 640 ? 600 : 1000;  // so that its letters stay as large as the page's
    canvas.height = 210;
    return canvas;
  }

  function ends(context, n, most, zero, low) {  // the numbers at the ends of both axes
    context.fillStyle = ink;
    context.font = "22px sans-serif";
    context.fillText(most, 4, 28);
    context.fillText(zero, 28, low);
    context.fillText(drawn.first_interval, 50, 204);
    context.textAlign = "right";
    context.fillText(drawn.first_interval + n - 1, context.canvas.width - 10, 204);
  }

  function say(figure, canvas, words) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    make("figcaption", words, figure);
  }

  function hours(parent, one, beside) {
    const figure = make("figure", "", parent, "hours"), canvas = sheet(figure);
    const context = canvas.getContext("2d"), n = one.hours.length, low = 180;
    const most = Math.max.apply(null, [1].concat(one.hours, beside.map(function (b) { return Math.max.apply(null, b.one.hours); })));
    const step = (canvas.width - 60) / n;
    context.fillStyle = "#c9d1d6";
    one.hours.forEach(function (v, i) {
      context.fillRect(50 + i * step, low - v / most * 165, Math.max(step - 1, 0.5), v / most * 165);
    });
    beside.forEach(function (each, k) {
      context.strokeStyle = drawn.colours[each.name];
      context.lineWidth = 3;
      context.setLineDash(k ? [9, 6] : []);
      context.beginPath();
      each.one.hours.forEach(function (v, i) {
        context[i ? "lineTo" : "moveTo"](50 + (i + 0.5) * step, low - v / most * 165);
      });
      context.stroke();
    });
    context.setLineDash([]);
    ends(context, n, Math.round(most), "0", low);
    const names = beside.map(function (b, k) { return b.name + (k ? " dashed" : " solid"); }).join(", ");
    say(figure, canvas, "Stops by interval: bars of this sample; lines, means of classes: " + names + ".");
  }

  function reasons(parent, use) {
    const figure = make("figure", "", parent, "hours"), canvas = sheet(figure);
    const context = canvas.getContext("2d"), n = use.hours.length, step = (canvas.width - 60) / n;
    const most = Math.max.apply(null, [1e-9].concat(use.hours.map(Math.abs)));
    use.hours.forEach(function (v, i) {
      context.fillStyle = v > 0 ? "#b2182b" : "#2166ac";
      context.fillRect(50 + i * step, v > 0 ? 97 - v / most * 82 : 97, Math.max(step - 1, 0.5), Math.abs(v) / most * 82);
    });
    context.fillStyle = ink;
    context.fillRect(50, 96.5, canvas.width - 60, 1);
    ends(context, n, "+" + most.toPrecision(2), "0", 104);
    say(figure, canvas, "Attribution by interval: above 0, red, speaks for " + use.a + ", below it, blue, for " + use.b + ".");
  }

  function places(parent, one, beside) {
    if (!drawn.zones.length) return;
    const grid = make("table", "", parent);
    const head = make("tr", "", make("thead", "", grid));
    make("th", "share of stops", head);
    ["this sample"].concat(beside.map(function (b) { return "mean of " + b.name; })).forEach(function (words) {
      make("th", words, head, "n");
    });
    const rest = make("tbody", "", grid);
    drawn.zones.forEach(function (zone, i) {
      const row = make("tr", "", rest);
      make("th", zone, row);
      [one].concat(beside.map(function (b) { return b.one; })).forEach(function (each) {
        make("td", each.zones[i].toFixed(1) + "%", row, "n");
      });
    });
  }

  function nearest(place, own) {  // its class, and what is said of it: the most probable other ones first
    const p = drawn.samples[place].p;
    const order = drawn.classes.map(function (name, i) { return [p[i], i, name]; });
    order.sort(function (a, b) { return b[0] - a[0] || a[1] - b[1]; });
    const names = order.slice(0, 2).map(function (each) { return each[2]; });
    if (names.indexOf(own) < 0) names.push(own);
    return names.filter(function (name) { return name in drawn.means; });
  }

  function detail(row) {
    const place = Number(row.dataset.i), one = drawn.samples[place], own = row.dataset.class;
    const below = make("tr", "", null, "detail");
    const cell = make("td", "", below);
    cell.colSpan = row.cells.length;
    const inside = make("div", "", cell);
    make("p", "Its class is " + own + ". Held out with " + row.dataset.cage + ", the networks say: "
      + drawn.classes.map(function (name, i) { return name + " " + (100 * one.p[i]).toFixed(1) + "%"; }).join(", ") + ".", inside);
    const beside = nearest(place, own).map(function (name) { return { name: name, one: drawn.means[name] }; });
    const most = Math.max.apply(null, [one.top].concat(beside.map(function (b) { return b.one.top; })));
    const maps = make("div", "", inside, "beside"), label = "Where stops lie on the floor", use = one.speaks;
    map(maps, shares(one, most), row.cells[0].textContent, label);
    if (use) {
      map(maps, bytes(use).map(function (v) { return signed(v / 127 - 1); }), "what speaks for " + use.a + " (red) and for "
        + use.b + " (blue)", "What the networks use");
    }
    beside.forEach(function (b) {
      map(maps, shares(b.one, most), "mean of " + b.name + (b.name === own ? ", its class" : ""), label);
    });
    make("p", "Smoothed shares of stops, on one scale: white 0, darkest " + most.toFixed(1) + " per mille a tile."
      + (use ? " Red and blue: attributions of the logit of " + use.a + " less that of " + use.b + ", smoothed, darkest "
        + use.top.toPrecision(2) + " a tile." : ""), inside, "soft");
    if (use) make("p", use.words + " By networks that never saw its cage; no significance is claimed.", inside);
    places(inside, one, beside);
    hours(inside, one, beside);
    if (use) reasons(inside, use);
    return below;
  }

  function open(row) {
    const button = row.querySelector("button"), was = button.getAttribute("aria-expanded") === "true";
    close();
    if (was) return;
    button.setAttribute("aria-expanded", "true");
    row.after(detail(row));
  }
  rows.forEach(function (row) {
    row.addEventListener("click", function () { open(row); });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    const opened = body.querySelector("button[aria-expanded=true]");
    close();
    if (opened) opened.focus();
  });
})();
