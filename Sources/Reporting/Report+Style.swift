extension Report {
    /// The colours of runs are Okabe and Ito's, which the colour-blind can tell apart, black left out and yellow darkened to be
    /// seen on white; on a dark page they are lighter. Paper is light.
    static let style = """
        :root {
          color-scheme: light;
          --page: #ffffff; --card: #ffffff; --text: #1c1e21; --soft: #5b6067; --line: #d9dce0; --grid: #e9ebee; --tint: #f4f5f7;
          --link: #0b5cad;
          --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9; --c6: #6a6f76; --c7: #a89500;
        }
        @media screen and (prefers-color-scheme: dark) {
          :root {
            color-scheme: dark;
            --page: #15171a; --card: #1b1e22; --text: #e6e8eb; --soft: #a3a9b1; --line: #3a3f46; --grid: #2a2e34; --tint: #23272c;
            --link: #7db8f0;
            --c0: #4a9fe0; --c1: #f0813a; --c2: #2fbf95; --c3: #e29cc4;
            --c4: #f2b632; --c5: #8fd0f5; --c6: #a9afb7; --c7: #d8c63a;
          }
        }
        * { box-sizing: border-box; }
        html { scroll-behavior: smooth; }
        body {
          margin: 0 auto; max-width: 1400px; padding: 1.2rem 1.5rem 3rem; background: var(--page); color: var(--text);
          font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
        }
        h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
        h2 { font-size: 1.25rem; margin: 2.2rem 0 .8rem; padding-top: .6rem; border-top: 1px solid var(--line); }
        h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
        h3.run { margin: 1rem 0 .6rem; }
        p { margin: .2rem 0 .6rem; }
        a { color: var(--link); }
        nav a { margin-right: 1.1em; display: inline-block; }
        .date, .note, figcaption p { color: var(--soft); font-size: .87rem; }
        .absent {
          margin: .8rem 0; padding: .4rem .7rem; background: var(--tint); border-left: 3px solid var(--line);
          overflow-wrap: anywhere;
        }
        .runs, .legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .5rem 0; padding: 0; }
        .legend { font-size: .87rem; }
        .legend li { display: inline-flex; align-items: center; gap: .4em; overflow-wrap: anywhere; }
        .legend .swatch { flex: none; }
        .runs { position: sticky; top: 0; z-index: 1; background: var(--page); padding: .4rem 0; }
        .runs button {
          font: inherit; color: inherit; background: var(--tint); border: 1px solid var(--line); border-radius: 4px;
          padding: .15rem .6rem; cursor: pointer; overflow-wrap: anywhere;
        }
        .runs button[aria-pressed="false"] { opacity: .45; text-decoration: line-through; }
        .patch {
          display: inline-block; width: .8em; height: .8em; margin-right: .45em; border-radius: 2px; background: var(--c);
        }
        .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); gap: 1rem; }
        .grid + .grid, .grid + .scroll { margin-top: 1rem; }
        figure {
          margin: 0; padding: .8rem .9rem .6rem; border: 1px solid var(--line); border-radius: 6px; background: var(--card);
          min-width: 0; max-width: 100%;
        }
        figure.wide { grid-column: 1 / -1; }
        .scroll { overflow-x: auto; }
        .plot { display: block; width: 100%; min-width: 430px; max-width: 900px; height: auto; margin: 0 auto; }
        figure.wide .plot { max-width: none; min-width: 900px; }
        .plot text { font-family: inherit; font-size: 11px; fill: var(--soft); }
        .plot text.title { fill: var(--text); font-size: 11.5px; }
        .axis { stroke: var(--soft); stroke-width: 1; }
        .cell { shape-rendering: crispEdges; }
        .rule { stroke: var(--grid); stroke-width: 1; }
        .line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
        .join { fill: none; stroke: var(--c); stroke-width: 1.2; stroke-dasharray: 2 3; }
        .line.again { stroke-dasharray: 7 3; }
        .band { fill: var(--c); fill-opacity: .16; stroke: none; }
        .dot { fill: var(--card); stroke: var(--c); stroke-width: 1.8; }
        .area { fill: var(--c); }
        .area.again { fill-opacity: .5; stroke: var(--c); }
        .area.light { fill-opacity: .18; stroke: var(--c); stroke-width: 1.3; }
        .bar:hover, .violin:hover { filter: brightness(1.15); }
        .column { fill: var(--text); fill-opacity: 0; }
        .column:hover { fill-opacity: .09; }
        .quartiles { stroke: var(--text); stroke-width: 1.6; }
        .median { fill: var(--card); stroke: var(--text); stroke-width: 1.5; }
        .quartiles, .median { pointer-events: none; }
        table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
        th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
        th { font-weight: 600; }
        thead th { color: var(--soft); }
        th:first-child, td:first-child, #configuration td, #configuration th { text-align: left; overflow-wrap: anywhere; }
        th:first-child { min-width: 8em; }
        tbody tr:hover { background: var(--tint); }
        #summary td { white-space: nowrap; }
        #summary th, #summary td { padding: .25rem .45rem; }
        #summary table, #translation > .scroll > table { margin-bottom: .5rem; }
        details { margin-top: .4rem; font-size: .87rem; }
        details > .scroll { max-height: 420px; overflow-y: auto; }
        summary { cursor: pointer; color: var(--soft); }
        .plain { --c: var(--soft); }
        .c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
        .c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
        @media print {
          * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
          body { max-width: none; padding: 0; font-size: 10pt; }
          nav, details:not([open]) { display: none; }
          .runs { position: static; }
          .grid { display: block; orphans: 1; widows: 1; }
          table, .legend, .date, .note, figcaption p { font-size: 8pt; }
          .plot text, .plot text.title { font-size: 13px; }
          th, td { padding: .15rem .35rem; }
          #summary td { white-space: normal; }
          figure { display: inline-block; width: 49%; vertical-align: top; break-inside: avoid; margin-bottom: .5rem; }
          figure.wide { width: 100%; }
          .plot, figure.wide .plot { min-width: 0; max-width: 100%; }
          .scroll, details > .scroll { overflow: visible; max-height: none; }
          h2, h3 { break-after: avoid; }
          tr { break-inside: avoid; }
        }

        """

    /// Hides and shows the marks of a run in all charts. Everything can be read without it.
    static let script = """
        document.querySelectorAll("button[data-run]").forEach(function (button) {
          button.addEventListener("click", function () {
            var isShown = button.getAttribute("aria-pressed") !== "true";
            button.setAttribute("aria-pressed", isShown ? "true" : "false");
            document.querySelectorAll(".marks .run-" + button.dataset.run).forEach(function (mark) {
              mark.style.display = isShown ? "" : "none";
            });
          });
        });

        """
}
