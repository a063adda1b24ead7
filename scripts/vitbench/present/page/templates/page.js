"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const shown = (number, digits) => number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  // Tables that can be sorted: a button in each heading; and filtered by any word of a row.
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    const heads = all("thead th", table);
    const words = new Map(all("tr", body).map((row) => [row, row.textContent.toLowerCase()]));
    const value = (row, place) => {
      const cell = row.cells[place];
      return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
    };
    const empty = (what) => what === "" || what === "–";
    const compare = (one, other, up) => {
      // What is not known stands last, whichever way.
      if (empty(one) || empty(other)) return empty(one) - empty(other);
      const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
      return up ? order : -order;
    };
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...words.keys()].map((row) => [value(row, place), row]);
        rows.sort(([one], [other]) => compare(one, other, up));
        body.append(...rows.map(([, row]) => row));
      });
    });
    const tool = table.closest("section").querySelector(".tool");
    const field = tool.querySelector("[data-filter]");
    const count = tool.querySelector("[data-count]");
    const filter = () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const [row, text] of words) {
        row.hidden = !wanted.every((word) => text.includes(word));
        left += !row.hidden;
      }
      count.textContent = `${left} of ${words.size} rows`;
    };
    field.addEventListener("input", filter);
    filter();
    tool.hidden = false;
  }

  // Buttons that choose a group of comparisons.
  const chips = document.querySelector(".chips");
  if (chips) {
    chips.hidden = false;
    chips.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      for (const each of all("button", chips)) each.setAttribute("aria-pressed", String(each === button));
      const group = button.dataset.group;
      for (const each of all("#speedup [data-group], #parity [data-group]")) each.hidden = group !== "" && each.dataset.group !== group;
    });
  }

  // What the reader's images would take: the arithmetic of vitbench.present.page.break_even.Arm.
  const asked = document.querySelector(".asked");
  if (asked) {
    // A comma before each three digits parts thousands, any other is a decimal one: 1,000,000 and 0,5.
    const number = (name) => {
      const given = asked.elements[name].value.replace(/[\s_]/g, "");
      return Number(/^\d{1,3}(,\d{3})+(\.\d*)?$/.test(given) ? given.replaceAll(",", "") : given.replace(",", "."));
    };
    const out = (name, text) => all(`[data-out="${name}"]`).forEach((each) => (each.textContent = text));
    const project = () => {
      const images = number("images");
      const hours = number("deadline");
      const price = asked.elements.price.value.trim() === "" ? null : number("price");
      const wrong = !(images > 0) || !(hours > 0) || (price !== null && !(price >= 0));
      document.getElementById("arms-said").textContent = wrong ? "Images, hours and price must be numbers above zero." : "";
      if (wrong) return;
      out("images", images.toLocaleString("en-US"));
      out("deadline", String(hours));
      for (const row of all("#arms tbody tr")) {
        const fixed = Number(row.dataset.fixed);
        const work = images * Number(row.dataset.each);
        const left = hours * 3600 - fixed;
        const together = Number(row.dataset.together);
        const machines = left > 0 ? together * Math.max(1, Math.ceil(work / left - 1e-9)) : null;
        row.cells[2].textContent = shown((fixed + work) / 86400, 1);
        row.cells[3].textContent = machines === null ? "–" : shown(machines, 0);
        row.cells[4].textContent =
          price === null || machines === null ? "–" : shown((price * (machines * fixed + together * work)) / 3600, 2);
      }
    };
    asked.addEventListener("input", project);
    asked.addEventListener("submit", (event) => event.preventDefault());
    asked.hidden = false;
    project();
  }

  // What is folded is printed, too.
  window.addEventListener("beforeprint", () => all("details").forEach((each) => (each.open = true)));
})();
