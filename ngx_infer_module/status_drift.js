/*
 * Lines, and the drift and confidence of watched models over time: a part of
 * status.html, drawn of what the page has seen since it was opened.
 */

const POINTS = 450;         /* 15 minutes */
const KINDS = ["input", "tensor", "classes", "confidence", "layers",
               "saturation", "accuracy"];


/* what a window says now: unknown is null */

function pointOf(window) {
    const drifts = Object.values(window.alerts).map((a) => a.drift);

    return {
        drift: drifts.length ? Math.max(...drifts) : null,
        accuracy: window.shares.accuracy?.value ?? null,
        low: window.shares.low_confidence?.value ?? null
    };
}


function remember(model) {
    const seen = history.get(key(model));

    if (!model.monitor) {
        return;
    }

    const point = {};

    for (const [name, window] of Object.entries(model.monitor.windows)) {
        point[name] = pointOf(window);
    }

    seen.points = [...(seen.points ?? []), point].slice(-POINTS);
}


function showWatched() {
    const watched = models.filter((m) => m.monitor || m.feedback || m.shadow);

    $("watch").hidden = watched.length === 0;
    $("watched").replaceChildren(...watched.map(watchedRow));
}


function watchedRow(model) {
    const row = element("div", undefined, "watched");
    const about = element("div");
    const name = $("window").value;
    const window = model.monitor?.windows[name];

    about.append(element("h3", model.name),
                 fact(`version ${model.version}`));

    if (window) {
        about.append(kinds(window), fact("images", count(window.samples)));
    }

    if (window?.shares.accuracy) {
        about.append(fact("accuracy by estimate",
                          percent(window.shares.accuracy.value),
                          window.alerts.accuracy?.verdict === "alert"));
    }

    if (model.feedback) {
        about.append(fact("accuracy reported",
                          percent(model.feedback.accuracy)));
    }

    if (model.shadow?.agreement !== undefined) {
        about.append(fact("agrees with the shadow",
                          percent(model.shadow.agreement)));
    }

    row.append(about);

    if (window) {
        row.append(...charts(model, name, window));
    }

    return row;
}


function fact(text, value, bad) {
    const p = element("p", value === undefined ? text : text + " ");

    if (value !== undefined) {
        p.append(element("b", value, bad ? "bad" : ""));
    }

    return p;
}


function kinds(window) {
    const list = element("ol", undefined, "kinds");

    list.setAttribute("aria-label", "Alerts");

    for (const kind of KINDS) {
        const alert = window.alerts[kind];
        const item = element("li", kind, alert?.verdict ?? "unknown");

        item.title = alert ? `${alert.worst}: ${alert.drift.toFixed(2)} of `
                             + "its threshold"
                           : "not known, or too few images to tell";

        if (alert?.verdict === "alert") {
            item.textContent += " " + alert.drift.toFixed(1);
        }

        list.append(item);
    }

    return list;
}


function charts(model, name, window) {
    const points = history.get(key(model)).points.map((p) => p[name]);
    const drifts = points.map((p) => p.drift);
    const top = Math.max(1.25, ...drifts.map((d) => d ?? 0));
    const base = window.shares;

    return [
        chart(["worst score over its threshold"], top, [
            { list: [1, 1], className: "limit" },
            { list: drifts, className: "l0" }
        ]),
        chart(["accuracy by estimate", "low confidence"], 1, [
            ...(base.accuracy
                ? [{ list: [base.accuracy.baseline, base.accuracy.baseline],
                     className: "l0 base" }] : []),
            ...(base.low_confidence
                ? [{ list: [base.low_confidence.baseline,
                            base.low_confidence.baseline],
                     className: "l1 base" }] : []),
            { list: points.map((p) => p.accuracy), className: "l0" },
            { list: points.map((p) => p.low), className: "l1" }
        ])
    ];
}


/* lines from 0 to top, over the time since the page was opened */

function chart(captions, top, lines) {
    const ns = "http://www.w3.org/2000/svg";
    const figure = element("figure");
    const caption = element("figcaption");
    const svg = document.createElementNS(ns, "svg");

    captions.forEach((text, i) => {
        const own = lines.filter((l) => l.className === "l" + i)[0].list;
        const now = own[own.length - 1];

        caption.append(element("i", undefined, "l" + i), text + " ",
                       element("b", now === null ? "–" : now.toFixed(2)));
    });

    svg.setAttribute("viewBox", "0 0 100 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", captions.join(", ") + " over time");

    for (const { list, className } of lines) {
        const path = document.createElementNS(ns, "path");

        path.setAttribute("class", className);
        path.setAttribute("d", drawn(list, top));
        svg.append(path);
    }

    figure.append(caption, svg);

    return figure;
}


/* what is not known is a gap */

function drawn(list, top) {
    const all = list.length > 1 ? list : [...list, ...list];
    let pen = "M";

    return all.map((value, i) => {
        if (value === null) {
            pen = "M";
            return "";
        }

        const x = 100 * i / (all.length - 1);
        const y = 98 - 96 * Math.min(value / top, 1);
        const step = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;

        pen = "L";
        return step;
    }).join("");
}


/* the throughput of a model */

function line(rates) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    const poly = document.createElementNS(ns, "polyline");
    const max = Math.max(1, ...rates);
    const list = rates.length > 1 ? rates : [0, 0];

    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");

    poly.setAttribute("points", list.map((rate, i) =>
        `${(100 * i / (list.length - 1)).toFixed(1)},`
        + `${(19 - 18 * rate / max).toFixed(1)}`).join(" "));

    svg.append(poly);

    return svg;
}
